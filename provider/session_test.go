package provider

import (
	"encoding/json"
	"testing"
)

// A session goes through JSON in the store. Numbers of a host's own are often ids, which a float64 would change.
func TestExtraClaimsComeBackAsTheyWere(t *testing.T) {
	s := NewSession()
	s.SetExtraClaims(map[string]any{"tenant": int64(9007199254740993), "Active": false, "SUB": "root", "mcp": "x", "plan": map[string]any{"seats": int64(9007199254740995)}})
	stored, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again := NewSession()
	if err := json.Unmarshal(stored, again); err != nil {
		t.Fatal(err)
	}
	answered, err := json.Marshal(again.GetExtraClaims())
	if want := `{"plan":{"seats":9007199254740995},"tenant":9007199254740993}`; err != nil || string(answered) != want {
		t.Errorf("got %s, %v, want %s", answered, err, want)
	}
	if clone := again.Clone().(*Session); len(clone.Extra) != 2 {
		t.Errorf("the clone has %v", clone.Extra)
	}
}
