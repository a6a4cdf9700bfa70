// Package measure runs a matcher written in Go on the events and rules of bench_rules, both JSON Lines, and prints one
// line of JSON. CPU time of the process, its garbage collector included.
package measure

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sort"
	"syscall"
)

const (
	runNs  = 4e8
	rounds = 5
)

// Matcher is what is measured.
type Matcher interface {
	Add(number int, pattern []byte) error
	Match(event []byte) (int, error) // how many rules
}

func cpuNs() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		die(err)
	}
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func heapBytes() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func die(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func lines(path string) [][]byte {
	text, err := os.ReadFile(path)
	if err != nil {
		die(err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

func run(m Matcher, events [][]byte) (ns, matches float64) {
	begun, count, matched := cpuNs(), 0, 0
	for {
		for _, event := range events {
			found, err := m.Match(event)
			if err != nil {
				die(err)
			}
			matched += found
		}
		count += len(events)
		if spent := cpuNs() - begun; spent >= runNs {
			return spent / float64(count), float64(matched) / float64(count)
		}
	}
}

// Main is the program: PROGRAM EVENTS RULES.
func Main(m Matcher) {
	runtime.GOMAXPROCS(1)
	events, rules := lines(os.Args[1]), lines(os.Args[2])
	before, begun := heapBytes(), cpuNs()
	for i, rule := range rules {
		if err := m.Add(i, rule); err != nil {
			die(err)
		}
	}
	compileMs := (cpuNs() - begun) / 1e6
	bytes := heapBytes() - before
	var all []float64
	var matches float64
	run(m, events)
	for i := 0; i < rounds; i++ {
		ns, found := run(m, events)
		all, matches = append(all, ns), found
	}
	sort.Float64s(all)
	fmt.Printf("{\"ns_per_event\": %.1f, \"matches_per_event\": %.3f, \"bytes_per_rule\": %.0f, \"compile_ms\": %.1f}\n",
		all[rounds/2], matches, bytes/float64(len(rules)), compileMs)
}
