//go:build !linux

package cmd

func lowerPriority() {}
