// Package config holds every setting of the server: its type, its default, where it comes from and what is wrong with it.
//
// Call [Load] first: it reads the YAML file and the environment and returns a complete, checked [Config], or every
// mistake at once. A program that builds its configuration in Go starts from [Default], changes fields and calls
// [Config.Resolve]. [Keys] lists the settings for documentation and tooling; [Config.Print] shows the outcome with
// secrets masked. docs/configuration.md is written from the same list.
package config
