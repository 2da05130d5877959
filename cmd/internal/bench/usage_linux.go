package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// ticks of /proc are hundredths of a second on every platform of Go.
const ticks = 100

func (m meter) read() (u usage) {
	u.server, u.resident = processCPU(m.server), memory(m.server)
	u.load = processCPU(os.Getpid())
	if m.postmaster != 0 {
		u.database = familyCPU(m.postmaster)
	}
	u.stolen, u.busy, u.all = machineCPU()
	return u
}

// processStat are the fields of /proc/PID/stat after the name: state, parent, …
func processStat(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return nil
	}
	return fields
}

// Fields of processStat.
const (
	parentField = 1
	userField   = 11 // then: system, and both of children that have ended
)

func processCPU(pid int) *float64 { return sumOf(processStat(pid), 2) }

// familyCPU is what a process and its children have used, those that have ended too.
func familyCPU(parent int) *float64 {
	total := sumOf(processStat(parent), 4)
	if total == nil {
		return nil
	}
	entries, _ := os.ReadDir("/proc") // an error leaves the parent's own share
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields := processStat(pid)
		if fields != nil && fields[parentField] == strconv.Itoa(parent) {
			if own := sumOf(fields, 2); own != nil {
				*total += *own
			}
		}
	}
	return total
}

// sumOf adds n fields of CPU time, in seconds.
func sumOf(fields []string, n int) *float64 {
	if fields == nil {
		return nil
	}
	var total float64
	for _, field := range fields[userField : userField+n] {
		value, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return nil
		}
		total += value / ticks
	}
	return &total
}

// machineCPU reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
func machineCPU() (stolen, busy, all *float64) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, nil, nil
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return nil, nil, nil
	}
	var total float64
	var values [8]float64
	for i, field := range fields[1:9] {
		if values[i], err = strconv.ParseFloat(field, 64); err != nil {
			return nil, nil, nil
		}
		values[i] /= ticks
		total += values[i]
	}
	return &values[7], new(total - values[3] - values[4] - values[7]), &total
}

// memory is how many bytes of a process are in memory.
func memory(pid int) *float64 {
	return kibibytes(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
}

// kibibytes reads a line like "VmRSS:   1234 kB", in bytes.
func kibibytes(file, name string) *float64 {
	fields := strings.Fields(lineOf(file, name))
	if len(fields) == 0 {
		return nil
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return nil
	}
	return new(value * 1024)
}

// lineOf is what follows name in the first line of a file that begins with it.
func lineOf(file, name string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if rest, found := strings.CutPrefix(line, name); found {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func thisMachine() Machine {
	m := Machine{Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
	_, m.CPU, _ = strings.Cut(lineOf("/proc/cpuinfo", "model name"), ": ")
	m.Memory = kibibytes("/proc/meminfo", "MemTotal:")
	return m
}

const tmpfs = 0x01021994

// inMemory tells whether the files of a folder are gone when the machine fails.
func inMemory(folder string) bool {
	var s syscall.Statfs_t
	return syscall.Statfs(folder, &s) == nil && int64(s.Type) == tmpfs
}

// postmasterOf is the process that has started a backend of PostgreSQL, if the backend runs on this machine. The title of a
// backend begins with "postgres: USER DATABASE".
func postmasterOf(backend int, database string) int {
	title, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(backend), "cmdline"))
	if err != nil || !bytes.HasPrefix(title, []byte("postgres: ")) || !bytes.Contains(title, []byte(" "+database+" ")) {
		return 0
	}
	fields := processStat(backend)
	if fields == nil {
		return 0
	}
	parent, _ := strconv.Atoi(fields[parentField]) // 0: unknown
	return parent
}
