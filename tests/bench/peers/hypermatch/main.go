// Hypermatch on the events and rules of bench_rules, translated: its language is another, without case and without
// consistency in arrays of objects, so that the number of matches may differ.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/SchwarzDigits/hypermatch/v2"
	"mangabus/bench/measure"
)

type matcher struct {
	rules *hypermatch.HyperMatch[int]
	found []int
}

var operators = map[string]hypermatch.PatternType{
	"prefix": hypermatch.PatternPrefix, "suffix": hypermatch.PatternSuffix, "wildcard": hypermatch.PatternWildcard,
	"equals-ignore-case": hypermatch.PatternEquals, "cidr": hypermatch.PatternCIDR,
	"<": hypermatch.PatternLessThan, "<=": hypermatch.PatternLessThanOrEqual, ">": hypermatch.PatternGreaterThan,
	">=": hypermatch.PatternGreaterThanOrEqual, "=": hypermatch.PatternNumericEquals,
}

func equals(value any) hypermatch.Pattern {
	return hypermatch.Pattern{Type: hypermatch.PatternEquals, Value: fmt.Sprint(value)}
}

func anythingBut(value any) hypermatch.Pattern {
	but := hypermatch.Pattern{Type: hypermatch.PatternAnythingBut}
	list, many := value.([]any)
	if !many {
		list = []any{value}
	}
	for _, each := range list {
		but.Sub = append(but.Sub, equals(each))
	}
	return but
}

func numeric(list []any) hypermatch.Pattern {
	both := hypermatch.Pattern{Type: hypermatch.PatternBetween}
	for i := 0; i+1 < len(list); i += 2 {
		both.Sub = append(both.Sub, hypermatch.Pattern{Type: operators[list[i].(string)], Value: fmt.Sprint(list[i+1])})
	}
	if len(both.Sub) == 1 {
		return both.Sub[0]
	}
	return both
}

func condition(given any) (hypermatch.Pattern, error) {
	object, isObject := given.(map[string]any)
	if !isObject {
		return equals(given), nil
	}
	for name, value := range object {
		switch {
		case name == "anything-but":
			return anythingBut(value), nil
		case name == "numeric":
			return numeric(value.([]any)), nil
		case operators[name] != hypermatch.PatternEquals || name == "equals-ignore-case":
			return hypermatch.Pattern{Type: operators[name], Value: fmt.Sprint(value)}, nil
		}
	}
	return hypermatch.Pattern{}, fmt.Errorf("no such operator: %v", given)
}

// Every branch of $or is a rule of its own; those here stand alone in their object.
func flatten(path string, object map[string]any, out []hypermatch.ConditionSet) ([]hypermatch.ConditionSet, error) {
	if branches, ok := object["$or"].([]any); ok {
		var all []hypermatch.ConditionSet
		for _, branch := range branches {
			sets, err := flatten(path, branch.(map[string]any), []hypermatch.ConditionSet{nil})
			if err != nil {
				return nil, err
			}
			all = append(all, sets...)
		}
		return all, nil
	}
	for key, value := range object {
		var err error
		if below, ok := value.(map[string]any); ok {
			out, err = flatten(path+key+".", below, out)
		} else {
			out[0], err = field(path+key, value.([]any), out[0])
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func field(path string, list []any, set hypermatch.ConditionSet) (hypermatch.ConditionSet, error) {
	either := hypermatch.Pattern{Type: hypermatch.PatternAnyOf}
	for _, given := range list {
		one, err := condition(given)
		if err != nil {
			return nil, err
		}
		either.Sub = append(either.Sub, one)
	}
	if len(either.Sub) == 1 {
		either = either.Sub[0]
	}
	return append(set, hypermatch.Condition{Path: path, Pattern: either}), nil
}

func (m *matcher) Add(number int, pattern []byte) error {
	var object map[string]any
	if err := json.Unmarshal(pattern, &object); err != nil {
		return err
	}
	sets, err := flatten("", object, []hypermatch.ConditionSet{nil})
	for i := 0; err == nil && i < len(sets); i++ {
		err = m.rules.AddRule(number, sets[i])
	}
	return err
}

func (m *matcher) Match(event []byte) (int, error) {
	var err error
	m.found, err = m.rules.AppendMatchesJSON(m.found[:0], event)
	return len(m.found), err
}

func main() {
	measure.Main(&matcher{rules: hypermatch.New[int]()})
}
