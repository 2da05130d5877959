package audit_test

import (
	"net/netip"
	"testing"

	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage/audit"
)

// A host that names the actor alone must not hide where the request comes from: limits go by that.
func TestAnOriginKeepsWhatItDoesNotName(t *testing.T) {
	request := reqinfo.With(t.Context(), reqinfo.Info{ID: "request", Address: netip.MustParseAddr("192.0.2.1")})
	for given, want := range map[audit.Origin]audit.Origin{
		{Actor: "host"}:                                       {Actor: "host", RequestID: "request", IP: "192.0.2.1"},
		{Actor: "host", IP: "no address"}:                     {Actor: "host", RequestID: "request", IP: "192.0.2.1"},
		{Actor: "host", RequestID: "own", IP: "198.51.100.7"}: {Actor: "host", RequestID: "own", IP: "198.51.100.7"},
	} {
		if got := audit.OriginFrom(audit.WithOrigin(request, given)); got != want {
			t.Errorf("%+v gives %+v, want %+v", given, got, want)
		}
	}
}
