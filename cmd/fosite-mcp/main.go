// Command fosite-mcp gives MCP servers OAuth 2.1. Run it with --help.
package main

import (
	"os"

	"fosite-mcp/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
