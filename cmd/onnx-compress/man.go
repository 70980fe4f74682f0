package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

func runMan(_ context.Context, args []string, s streams) error {
	rest, err := parse(newFlags("man"), args, s)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("man takes no arguments, got %q", rest)
	}
	return writeManual(s.out)
}

// writeManual writes the help texts as one page in the macros of man(7).
func writeManual(out io.Writer) error {
	w := bufio.NewWriter(out) // which keeps the first error
	fmt.Fprintf(w, ".TH ONNX-COMPRESS 1 \"\" \"onnx-compress\" \"User Commands\"\n")
	fmt.Fprintf(w, ".SH NAME\nonnx-compress \\- make trained ONNX models smaller and faster\n")
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B onnx-compress\n.I command\n[\\fIflags\\fR] ...\n.SH DESCRIPTION\n")
	for _, c := range append([]command{{name: "help"}}, commands()...) {
		text, err := helpTexts.ReadFile("help/" + c.name + ".txt")
		if err != nil {
			return err
		}
		body := string(text)
		if c.run != nil {
			if c.name == "help" {
				continue // it stands first
			}
			first, rest, _ := strings.Cut(body, "\n")
			fmt.Fprintf(w, ".SH %s\n.B %s\n.PP\n", strings.ToUpper(c.name), roff(first))
			body = rest
		}
		writeRoff(w, body)
	}
	fmt.Fprintf(w, ".SH FILES\n.TP\n.I %s\nin the current folder: values of flags, by command; see \\fBCONFIG\\fR\n", roff(configName))
	return w.Flush()
}

// writeRoff writes one help text: paragraphs, headings, the entries of flags, and all else
// that is indented as it stands.
func writeRoff(w io.Writer, text string) {
	text = strings.Trim(text, "\n")
	entries := flagTexts(text)
	lines := strings.Split(text, "\n")
	// began says that a paragraph is open, or that one needs no beginning.
	began, asIs := true, false
	end := func() {
		if asIs {
			fmt.Fprintln(w, ".fi")
		}
		asIs = false
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case len(entries) > 0 && i == entries[0].from:
			end()
			writeEntry(w, entries[0])
			i, entries, began = entries[0].to-1, entries[1:], false
		case line == "":
			end()
			began = false
		case !strings.HasPrefix(line, " ") && strings.HasSuffix(line, ":") && (i == 0 || lines[i-1] == ""):
			end()
			fmt.Fprintf(w, ".SS %s\n", roff(strings.TrimSuffix(line, ":")))
			began = true
		default:
			if indented := strings.HasPrefix(line, " "); indented != asIs {
				end()
				if !began {
					fmt.Fprintln(w, ".PP")
				}
				if indented {
					fmt.Fprintln(w, ".nf")
				}
				asIs = indented
			} else if !began {
				fmt.Fprintln(w, ".PP")
			}
			began = true
			fmt.Fprintln(w, roff(line))
		}
	}
	end()
}

// writeEntry writes a flag and its explanation; lines that are indented in it begin anew.
func writeEntry(w io.Writer, f flagText) {
	head := "\\fB\\-\\-" + roff(f.long) + "\\fR"
	if f.short != "" {
		head = "\\fB\\-" + f.short + "\\fR, " + head
	}
	if f.argument != "" {
		if !strings.HasPrefix(f.argument, "[") {
			head += " "
		}
		head += "\\fI" + roff(f.argument) + "\\fR"
	}
	fmt.Fprintf(w, ".TP\n%s\n", head)
	for i, line := range f.lines {
		if strings.HasPrefix(line, " ") || i > 0 && strings.HasPrefix(f.lines[i-1], " ") {
			fmt.Fprintln(w, ".br")
		}
		fmt.Fprintln(w, roff(strings.TrimLeft(line, " ")))
	}
}

// roff escapes what the formatter would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "^", `\(ha`, "~", `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
