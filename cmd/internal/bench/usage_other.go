//go:build !linux

package bench

import "runtime"

func (meter) read() usage { return usage{} }

func thisMachine() Machine {
	return Machine{Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
}

func inMemory(string) bool { return false }

func postmasterOf(int, string) int { return 0 }
