package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// The flags of a command are declared once, where it runs, and explained once, in its help
// text. Configuration files, their schema, completion and the manual are made from these.

// errDeclared ends a command that was run for its flags alone.
var errDeclared = errors.New("flags wanted")

// declared returns the flags of a command with those that all commands have.
func declared(c command) (*pflag.FlagSet, error) {
	var f *pflag.FlagSet
	err := c.run(context.Background(), nil, streams{declare: func(flags *pflag.FlagSet) { f = flags }})
	if !errors.Is(err, errDeclared) {
		return nil, errors.Join(errors.New("the command "+c.name+" does not parse its arguments first"), err)
	}
	return f, nil
}

// flagText is what a help text says of one flag.
type flagText struct {
	short, long string
	// argument is as the text has it, such as FILE, [=FILE] or KIND=VALUE; "" for none.
	argument string
	// lines are the explanation, deeper indents kept.
	lines []string
	// from and to are the lines of the text that the entry takes, counted from 0.
	from, to int
}

// summary is the explanation in one line, without what is in a table below it.
func (f flagText) summary() string {
	var out []string
	for _, line := range f.lines {
		if strings.HasPrefix(line, " ") {
			break
		}
		out = append(out, line)
	}
	return strings.Join(out, " ")
}

// flagLine is the first line of a flag's entry.
var flagLine = regexp.MustCompile(`^ {2,6}(?:-(\w), )?--([a-z][a-z-]*)(\[=[A-Z]+\]| [A-Z][^ ]*)?(?: +(\S.*))?$`)

// flagTexts reads the entries of a help text.
func flagTexts(help string) []flagText {
	var out []flagText
	column, open, before := 0, false, ""
	for i, line := range strings.Split(help, "\n") {
		continued := strings.HasSuffix(before, `\`) // an example that goes on
		before = line
		if continued {
			continue
		}
		if m := flagLine.FindStringSubmatchIndex(line); m != nil {
			part := func(i int) string {
				if m[2*i] < 0 {
					return ""
				}
				return line[m[2*i]:m[2*i+1]]
			}
			f := flagText{short: part(1), long: part(2), argument: strings.TrimPrefix(part(3), " "), from: i, to: i + 1}
			column = m[8]
			if text := part(4); text != "" {
				f.lines = append(f.lines, text)
			}
			out, open = append(out, f), true
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if !open || line == "" || indent < 12 {
			open = false
			continue
		}
		if column < 0 {
			column = indent
		}
		last := &out[len(out)-1]
		last.to = i + 1
		last.lines = append(last.lines, strings.Repeat(" ", max(0, indent-column))+line[indent:])
	}
	return out
}

// explained finds what help says of a flag: the command's own text, or that of a command
// whose flags others share, those of tune with its name before them.
func explained(name, flag string) flagText {
	for _, file := range []string{name, "compress", "status", "config", "tune"} {
		help, err := helpTexts.ReadFile("help/" + file + ".txt")
		if err != nil {
			continue
		}
		wanted := flag
		if file == "tune" {
			wanted = strings.TrimPrefix(flag, "tune-")
		}
		texts := flagTexts(string(help))
		i := slices.IndexFunc(texts, func(t flagText) bool { return t.long == wanted && len(t.lines) > 0 })
		if i >= 0 {
			texts[i].long = flag
			return texts[i]
		}
	}
	return flagText{long: flag}
}
