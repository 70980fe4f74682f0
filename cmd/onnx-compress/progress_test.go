package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
	if _, ok := newShower(&out, "", true).(hidden); !ok {
		t.Error("people who want quiet are shown something")
	}
	shown, ok := newShower(&out, "", false).(*lines)
	if !ok {
		t.Fatal("a log does not get lines")
	}
	shown.close()
	shown.close()
	for _, format := range []logFormat{logText, logJSON} {
		out.Reset()
		begun := time.Unix(0, 0)
		at := begun
		l := newLines(&out, format, func() time.Time { return at })
		l.memory = func() int64 { return 700 << 20 }
		for _, u := range []struct {
			second      int
			stage       string // "" for the half minute
			done, total int
		}{
			{0, "", 0, 0},
			{0, "analyse", 0, 0},
			{10, "calibrate", 1, 5},
			{28, "calibrate", 3, 5},
			{30, "", 0, 0},
			{45, "fac\ntor", 0, 0},
			{60, "", 0, 0},
			{61, "tune", 0, 9},
			{71, "tune: loss 0.5", 1, 9},
			{90, "", 0, 0},
			{120, "", 0, 0},
			{121, "search", 1, 9},
			{130, "search", 4, 12},
			{150, "", 0, 0},
		} {
			at = begun.Add(time.Duration(u.second) * time.Second)
			if u.stage == "" {
				l.beat()
			} else {
				l.update(u.stage, u.done, u.total)
			}
		}
		l.close()
		l.beat()
		want := "calibrate 3 of 5 (60 %), after 30s, 20s left, 700 MiB\n\"fac\\ntor\", after 1m0s, 700 MiB\n" +
			"tune 1 of 9 (11 %): loss 0.5, after 1m30s, 3m52s left, 700 MiB\ntune 1 of 9 (11 %): loss 0.5, after 2m0s, 7m52s left, 700 MiB\n" +
			"search 4 of 12 so far, after 2m30s, 700 MiB\n"
		if format == logJSON {
			want = `"stage":"analyse","seconds":0,"memory":734003200
"stage":"calibrate","done":1,"of":5,"seconds":10,"memory":734003200
"stage":"calibrate","done":3,"of":5,"seconds":30,"left":20,"memory":734003200
"stage":"fac\ntor","seconds":45,"memory":734003200
"stage":"fac\ntor","seconds":60,"memory":734003200
"stage":"tune","done":0,"of":9,"seconds":61,"memory":734003200
"stage":"tune","done":1,"of":9,"remark":"loss 0.5","seconds":90,"left":232,"memory":734003200
"stage":"tune","done":1,"of":9,"remark":"loss 0.5","seconds":120,"left":472,"memory":734003200
"stage":"search","done":1,"of":9,"seconds":121,"memory":734003200
"stage":"search","done":4,"of":12,"seconds":150,"memory":734003200
`
		}
		got := regexp.MustCompile(`(?m)^\{"time":"[^"]*","level":"INFO","msg":"progress",(.*)\}$`).ReplaceAllString(out.String(), "$1")
		if got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

// TestHeartbeat: lines come by themselves, though nothing is told.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLines(&out, logText, time.Now)
		l.memory = func() int64 { return 0 }
		l.end = every(between, l.beat)
		l.update("factor", 0, 0)
		time.Sleep(3*between + time.Second)
		l.close()
		synctest.Wait()
		if want := "factor, after 30s\nfactor, after 1m0s\nfactor, after 1m30s\n"; out.String() != want {
			t.Errorf("it says %q, want %q", &out, want)
		}
	})
}

// TestFilesAreNoTerminal: a file gets lines and no bars.
func TestFilesAreNoTerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l := newShower(file, "", false)
	defer l.close()
	if _, ok := l.(*lines); !ok {
		t.Error("a file is taken for a terminal")
	}
}

// TestMarks: a program that asks for it gets a line for every stage, at once, and for its steps ten times a second.
func TestMarks(t *testing.T) {
	t.Setenv(envProgress, "lines")
	var out bytes.Buffer
	m, ok := newShower(&out, "", false).(*marks)
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
	if _, ok := newShower(&out, "", true).(hidden); !ok {
		t.Error("people who want quiet are shown something")
	}
}
