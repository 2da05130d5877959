package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// seeHelp is a usage error that says where to read on.
func seeHelp(c *cobra.Command, err error) error {
	return terminal.BadUsage("%w\nSee: %s --help", err, c.CommandPath())
}

// wrongFlag puts what pflag says about a flag into words.
func wrongFlag(c *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return seeHelp(c, err)
	}
	name := "--" + value.GetFlag().Name
	switch value.GetFlag().Value.Type() {
	case "int", "int64":
		return seeHelp(c, fmt.Errorf("%s must be a number, not %q", name, value.GetValue()))
	case "intSlice":
		return seeHelp(c, fmt.Errorf("%s must be numbers with commas between them, not %q", name, value.GetValue()))
	case "bool":
		return seeHelp(c, fmt.Errorf("%s is true or false, not %q", name, value.GetValue()))
	}
	return seeHelp(c, fmt.Errorf("%s: %w", name, value.Unwrap()))
}

// strict makes wrong arguments, and commands that exist only as a group, a usage error throughout. The arguments that a
// command takes are the capital words of its Use line.
func strict(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, args []string) error {
		err := checkArgs(c, args)
		if err == nil {
			err = checkExclusive(c)
		}
		if err != nil {
			return seeHelp(c, err)
		}
		return nil
	}
	if c.RunE == nil {
		c.RunE = func(c *cobra.Command, _ []string) error { return needsCommand(c) }
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// needsCommand shows the commands of a group on stderr: what was asked for is not known.
func needsCommand(c *cobra.Command) error {
	c.SetOut(c.ErrOrStderr())
	_ = c.Help()
	return terminal.BadUsage("%s needs a command", c.CommandPath())
}

// checkExclusive refuses flags that exclude each other. Cobra itself would list all of them without dashes, and exit
// with 1.
func checkExclusive(c *cobra.Command) (err error) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		for _, group := range f.Annotations["cobra_annotation_mutually_exclusive"] { // what MarkFlagsMutuallyExclusive leaves
			names := strings.Fields(group)
			given := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !c.Flags().Changed(name) })
			if len(given) > 1 && err == nil {
				err = fmt.Errorf("give only one of --%s", strings.Join(names, ", --"))
			}
		}
	})
	if err == nil {
		err = c.ValidateFlagGroups() // of the other kinds
	}
	return err
}

// checkArgs does not quote the arguments: one of them may be a secret that was put there by mistake.
func checkArgs(c *cobra.Command, args []string) error {
	names := strings.Fields(c.Use)[1:]
	switch {
	case len(args) < len(names):
		if strings.HasPrefix(names[len(args)], "[") {
			return nil
		}
		return fmt.Errorf("%s is missing", names[len(args)])
	case len(args) == len(names):
		return nil
	case !c.HasSubCommands():
		if len(names) == 0 {
			return errors.New("it takes no arguments, only flags" + likelyFlag(c, args[0]))
		}
		hint := ""
		if c.Flags().Lookup("group") != nil {
			hint = "; groups go with --group"
		}
		return fmt.Errorf("it takes %s and nothing else, but got %d arguments%s", strings.Join(names, " "), len(args), hint)
	}
	return noSuchCommand(c, args[0])
}

// likelyFlag is the flag that an argument was probably meant for, as the end of a message.
func likelyFlag(c *cobra.Command, arg string) string {
	flags := []string{"username", "name", "client-id"}
	if strings.HasPrefix(arg, provider.AccessTokenPrefix) || strings.HasPrefix(arg, provider.RefreshTokenPrefix) || strings.HasPrefix(arg, "eyJ") {
		flags = []string{"token-file"}
	}
	for _, name := range flags {
		if f := c.Flags().Lookup(name); f != nil && !f.Changed {
			return "; did you mean --" + name + "?"
		}
	}
	return ""
}

// noSuchCommand says where to find the command that was probably meant. A word is quoted only when it is the name of a
// command elsewhere, and so no secret.
func noSuchCommand(c *cobra.Command, word string) error {
	if word == "list" && c.Flags().Lookup("limit") != nil {
		return fmt.Errorf("%s has no command %q: it lists by itself; leave the word out", c.CommandPath(), word)
	}
	if elsewhere := commandsNamed(c.Root(), word); len(elsewhere) > 0 {
		return fmt.Errorf("%s has no command %q; did you mean %s?", c.CommandPath(), word, strings.Join(elsewhere, " or "))
	}
	if likely := c.SuggestionsFor(word); len(likely) > 0 {
		return fmt.Errorf("%s has no such command; did you mean %s?", c.CommandPath(), strings.Join(likely, " or "))
	}
	return fmt.Errorf("%s has no such command", c.CommandPath())
}

// commandsNamed are the whole names of the commands that end with word.
func commandsNamed(c *cobra.Command, word string) (paths []string) {
	for _, sub := range c.Commands() {
		if sub.Name() == word && sub.IsAvailableCommand() {
			paths = append(paths, sub.CommandPath())
		}
		paths = append(paths, commandsNamed(sub, word)...)
	}
	return paths
}
