package main

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBars: stages show one after the other, with and without an end, from any number of
// goroutines, and leave the line empty.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	b := newBars(&out)
	b.update("analyse", 0, 0)
	b.update("calibrate", 0, 0)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { b.update("calibrate", i+1, 20) })
	}
	all.Wait()
	b.update("factor", 0, 0)
	b.update("factor", 1, 3)
	b.close()
	b.close()
	text := out.String()
	last := -1
	for _, stage := range []string{"analyse", "calibrate", "factor"} {
		at := strings.Index(text, stage)
		if at <= last {
			t.Errorf("stage %s is not shown, or not in its turn: %q", stage, text)
		}
		last = at
	}
	if line := text[strings.LastIndex(text, "\r")+1:]; strings.TrimSpace(line) != "" {
		t.Errorf("the last line is %q", line)
	}
	if strings.Contains(text, "\x1b[3") {
		t.Errorf("there are colours in %q", text)
	}
}

// TestLines: where there is no terminal, a line each half minute says how far the work is, in one line whatever a stage is
// called, and nothing is said of work that is done before, nor to people who want quiet.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	if _, ok := newShower(&out, true).(hidden); !ok {
		t.Error("people who want quiet are shown something")
	}
	if l, ok := newShower(&out, false).(*lines); !ok {
		t.Fatal("a log does not get lines")
	} else {
		l.close()
	}
	begun := time.Unix(0, 0)
	at := begun
	l := newLines(&out, func() time.Time { return at })
	l.close() // its clock is ours
	for _, u := range []struct {
		second      int
		stage       string
		done, total int
	}{
		{0, "analyse", 0, 0},
		{29, "calibrate", 1, 4},
		{31, "calibrate: 2 to 9 min in all", 3, 4},
		{45, "factor", 0, 0},
		{60, "factor", 1, 9},
		{61, "fac\ntor", 0, 0},
		{180, "search", 1, 9},
		{200, "search", 4, 12},
		{220, "search", 5, 12},
		{300, "search\n: x", 0, 0},
	} {
		at = begun.Add(time.Duration(u.second) * time.Second)
		l.update(u.stage, u.done, u.total)
	}
	at = begun.Add(331 * time.Second)
	l.say()
	if want := "calibrate 75 %, after 31s; 2 to 9 min in all\n\"fac\\ntor\", after 1m1s\nsearch 11 %, after 3m0s\nsearch 5 of 12 so far, after 3m40s\n" +
		"\"search\\n\", after 5m0s; x\n\"search\\n\", after 5m31s; x\n"; out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
}

// TestFilesAreNoTerminal: a file gets lines and no bars.
func TestFilesAreNoTerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l, ok := newShower(file, false).(*lines)
	if !ok {
		t.Fatal("a file is taken for a terminal")
	}
	l.close()
}

// TestMarks: a program that asks for it gets a line for every stage, at once, and for its steps ten times a second.
func TestMarks(t *testing.T) {
	t.Setenv(envProgress, "lines")
	var out bytes.Buffer
	m, ok := newShower(&out, false).(*marks)
	if !ok {
		t.Fatal("a program does not get marks")
	}
	at := time.Unix(0, 0)
	m.now = func() time.Time { return at }
	for _, u := range []struct {
		ms          int
		stage       string
		done, total int
	}{
		{0, "analyse", 0, 0}, {1, "calibrate", 0, 4}, {2, "calibrate", 1, 4}, {102, "calibrate", 2, 4}, {103, "calibrate", 3, 4}, {104, "calibrate", 4, 4}, {105, "a\tb", 1, 2},
	} {
		at = time.Unix(0, int64(u.ms)*int64(time.Millisecond))
		m.update(u.stage, u.done, u.total)
	}
	m.close()
	if want := "\x1eanalyse\t0\t0\n\x1ecalibrate\t0\t4\n\x1ecalibrate\t2\t4\n\x1ecalibrate\t4\t4\n\x1e\"a\\tb\"\t1\t2\n"; out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
	if _, ok := newShower(&out, true).(hidden); !ok {
		t.Error("people who want quiet are shown something")
	}
}
