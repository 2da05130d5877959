package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError makes the program exit with 2: the command itself was wrong, not what it did.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// seeHelp is a usage error that says where to read on.
func seeHelp(c *cobra.Command, err error) error {
	return usageError{fmt.Errorf("%w\nSee: %s --help", err, c.CommandPath())}
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
			err = c.ValidateFlagGroups() // cobra itself would only fail, with 1
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
	return usageError{fmt.Errorf("%s needs a command", c.CommandPath())}
}

// checkArgs does not quote the arguments: one of them may be a secret that was put there by mistake.
func checkArgs(c *cobra.Command, args []string) error {
	names := strings.Fields(c.Use)[1:]
	switch {
	case len(args) < len(names):
		return fmt.Errorf("%s is missing", names[len(args)])
	case len(args) == len(names):
		return nil
	case !c.HasSubCommands():
		if len(names) == 0 {
			return errors.New("it takes no arguments, only flags")
		}
		return fmt.Errorf("it takes %s and nothing else, but got %d arguments", strings.Join(names, " "), len(args))
	}
	if likely := c.SuggestionsFor(args[0]); len(likely) > 0 {
		return fmt.Errorf("%s has no such command; did you mean %s?", c.CommandPath(), strings.Join(likely, " or "))
	}
	return fmt.Errorf("%s has no such command", c.CommandPath())
}
