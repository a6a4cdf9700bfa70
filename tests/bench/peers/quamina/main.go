// Quamina on the events and rules of bench_rules. What its language lacks (suffix, numeric, cidr, $or), it refuses.
package main

import (
	"fmt"
	"os"

	"mangabus/bench/measure"
	"quamina.net/go/quamina/v2"
)

type matcher struct{ quamina *quamina.Quamina }

func (m matcher) Add(number int, pattern []byte) error {
	return m.quamina.AddPattern(number, string(pattern))
}

func (m matcher) Match(event []byte) (int, error) {
	found, err := m.quamina.MatchesForEvent(event)
	return len(found), err
}

func main() {
	q, err := quamina.New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	measure.Main(matcher{q})
}
