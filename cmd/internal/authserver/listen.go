package authserver

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// errListen says why the server cannot listen on an address, and which setting changes the address.
func errListen(address, setting string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		variable := "FOSITE_MCP_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
		return fmt.Errorf("%s is in use, perhaps by another fosite-mcp: stop it, or set %s (%s)", address, setting, variable)
	}
	return fmt.Errorf("listen on %s (setting %s): %w", address, setting, err)
}
