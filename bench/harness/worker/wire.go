package worker

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Args are the pairs of a request or an answer.
type Args map[string]string

// Message is one line.
type Message struct {
	Verb string
	Args Args
}

// String is the line, without its end.
func (m Message) String() string {
	values := url.Values{}
	for name, v := range m.Args {
		values.Set(name, v)
	}
	return m.Verb + "?" + values.Encode()
}

// Parse reads a line.
func Parse(line string) (Message, error) {
	verb, query, _ := strings.Cut(strings.TrimSpace(line), "?")
	values, err := url.ParseQuery(query)
	if err != nil || verb == "" {
		return Message{}, fmt.Errorf("worker said %q", line)
	}
	m := Message{verb, Args{}}
	for name := range values {
		m.Args[name] = values.Get(name)
	}
	return m, nil
}

// Int is a whole number, or fallback where it is missing.
func (a Args) Int(name string, fallback int) (int, error) {
	text, ok := a[name]
	if !ok {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is no whole number", name, text)
	}
	return n, nil
}

// Float is a number; false where it is missing or none.
func (a Args) Float(name string) (float64, bool) {
	x, err := strconv.ParseFloat(a[name], 64)
	return x, err == nil
}

// Set adds a number.
func (a Args) Set(name string, x float64) { a[name] = strconv.FormatFloat(x, 'g', 9, 64) }
