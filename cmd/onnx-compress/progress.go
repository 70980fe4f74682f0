package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/rss"
)

// shower shows people how far the work is.
type shower interface {
	// update tells that done of total steps of a stage are over; with total 0 only that it has begun. Behind the stage's name
	// may stand a colon and a remark. Several goroutines may call it.
	update(stage string, done, total int)
	// close ends it.
	close()
}

// envProgress is the variable that a program sets to "lines" which shows the progress itself, as the Python package does.
const envProgress = "ONNX_COMPRESS_PROGRESS"

// newShower returns where progress goes: marks for a program that asks for them, lines where they are asked for, bars on a terminal, and
// lines elsewhere.
func newShower(w io.Writer, format logFormat, quiet bool) shower {
	if quiet {
		return hidden{}
	}
	if os.Getenv(envProgress) == "lines" {
		return &marks{w: w, now: time.Now}
	}
	if f, ok := w.(*os.File); ok && format == "" && term.IsTerminal(int(f.Fd())) {
		return newBars(w)
	}
	l := newLines(w, format, time.Now)
	l.end = every(between, l.beat)
	return l
}

// hidden shows nothing.
type hidden struct{}

func (hidden) update(string, int, int) {}
func (hidden) close()                  {}

// between is the time from one line to the next.
const between = 30 * time.Second

// lines says every half minute how far the work is, where that is read later: in a log. Text says nothing of work that is done sooner; lines
// of JSON say of every stage that it begins, too.
type lines struct {
	w      io.Writer
	json   bool
	now    func() time.Time
	memory func() int64
	end    func()

	mu     sync.Mutex
	begun  time.Time
	at     headway
	origin time.Time // when the stage began
	from   int       // what was done of it by then
}

func newLines(w io.Writer, format logFormat, now func() time.Time) *lines {
	return &lines{w: w, json: format == logJSON, now: now, memory: rss.Resident, end: func() {}, begun: now()}
}

func (l *lines) update(stage string, done, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, remark, _ := strings.Cut(stage, ": ")
	news := name != l.at.stage
	l.at.grows = !news && (l.at.grows || total > l.at.total && l.at.total > 0)
	if news || total != l.at.total {
		l.origin, l.from = l.now(), done
	}
	l.at.stage, l.at.remark, l.at.done, l.at.total = name, remark, done, total
	if news && l.json {
		l.say()
	}
}

// beat says how far the work is, if it has begun.
func (l *lines) beat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.stage != "" {
		l.say()
	}
}

func (l *lines) say() {
	at, now := l.at, l.now()
	at.after, at.left, at.memory = now.Sub(l.begun), -1, l.memory()
	if n := at.done - l.from; n > 0 && at.total > 0 && !at.grows {
		at.left = time.Duration(float64(now.Sub(l.origin)) / float64(n) * float64(at.total-at.done))
	}
	if l.json {
		at.log(newLog(l.w))
		return
	}
	at.stage, at.remark = quote.Name(at.stage), quote.Name(at.remark)
	_, _ = io.WriteString(l.w, at.text())
}

// close ends the lines.
func (l *lines) close() {
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = headway{}
}

// nameOf is the name of a stage without the remark behind it.
func nameOf(stage string) string {
	name, _, _ := strings.Cut(stage, ":")
	return name
}

// every does something again and again, until the function that it returns is called.
func every(d time.Duration, do func()) (end func()) {
	done := make(chan struct{})
	var over sync.WaitGroup
	over.Go(func() {
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				do()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		over.Wait()
	})
}

// apart is the time from one mark of a stage to the next.
const apart = 100 * time.Millisecond

// marks are for another program: lines of a control character, the stage, and the steps that are done and in total, by tabs.
type marks struct {
	w     io.Writer
	now   func() time.Time
	mu    sync.Mutex
	stage string
	said  time.Time
}

func (m *marks) update(stage string, done, total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.now()
	if stage == m.stage && done < total && at.Sub(m.said) < apart {
		return
	}
	m.stage, m.said = stage, at
	fmt.Fprintf(m.w, "\x1e%s\t%d\t%d\n", quote.Name(stage), done, total)
}

func (*marks) close() {}

// bars shows one progress bar per stage.
type bars struct {
	w     io.Writer
	mu    sync.Mutex
	stage string
	total int
	bar   *progressbar.ProgressBar
	end   func()
}

func newBars(w io.Writer) *bars {
	b := &bars{w: w}
	b.end = every(time.Second, b.draw)
	return b
}

// draw draws the bar anew, so that its clock goes on.
func (b *bars) draw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.RenderBlank()
	}
}

func (b *bars) update(stage string, done, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stage = quote.Name(stage)
	name := nameOf(stage)
	if b.bar == nil || b.stage != name || b.total != total {
		b.finish()
		b.stage, b.total = name, total
		steps := total
		if total == 0 {
			steps = -1 // a bar without an end
		}
		b.bar = progressbar.NewOptions(steps,
			progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(stage),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
	}
	if total == 0 {
		_ = b.bar.RenderBlank()
		return
	}
	b.bar.Describe(stage)
	_ = b.bar.Set(done)
}

// close takes the bar off the screen.
func (b *bars) close() {
	b.end()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finish()
}

func (b *bars) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
		_ = b.bar.Clear()
		b.bar = nil
	}
}
