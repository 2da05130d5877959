package cmd

import (
	"fmt"
	"runtime/debug"
	"strings"

	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// versionView is which program this is. What the build did not record is empty.
type versionView struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified"`       // built from files that differ from the revision
	Go       string `json:"go"`
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Tell which version this is",
		Example: "  fosite-mcp version\n  fosite-mcp version --json",
		RunE:    func(*cobra.Command, []string) error { return printVersion(&a.Terminal) },
	}
}

func printVersion(out *terminal.Terminal) error {
	v := programVersion()
	if out.JSON {
		return out.Encode(v)
	}
	_, err := fmt.Fprintln(out.Stdout, "fosite-mcp", v)
	return err
}

func programVersion() versionView {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) versionView {
	v := versionView{Version: info.Main.Version, Go: info.GoVersion}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Revision = setting.Value
		case "vcs.time":
			v.Time = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func (v versionView) String() string {
	words := []string{v.Version}
	if v.Revision != "" {
		words = append(words, "revision "+v.Revision)
	}
	if v.Time != "" {
		words = append(words, "of "+v.Time)
	}
	if v.Modified {
		words = append(words, "with changes")
	}
	return strings.Join(append(words, v.Go), " ")
}
