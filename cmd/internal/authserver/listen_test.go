package authserver

import (
	"net"
	"testing"

	"fosite-mcp/config"
)

func TestAPortInUseNamesTheSettingThatMovesTheServer(t *testing.T) {
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	address := occupied.Addr().String()
	for setting, environ := range map[string][]string{
		"set listen (FOSITE_MCP_LISTEN)":             {"FOSITE_MCP_LISTEN=" + address},
		"set admin.listen (FOSITE_MCP_ADMIN_LISTEN)": {"FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=" + address},
	} {
		cfg, err := config.Load("", append(environ, "FOSITE_MCP_DATA_DIR="+t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		err = (&Instance{Config: cfg}).Run(t.Context())
		if want := address + " is in use, perhaps by another fosite-mcp: stop it, or " + setting; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
