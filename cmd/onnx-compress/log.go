package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// logFormat is what lines on standard error look like that tell of progress and failure: "" for bars on a terminal and text elsewhere.
type logFormat string

// The formats that have a name.
const (
	logText logFormat = "text"
	logJSON logFormat = "json"
)

func (l *logFormat) String() string { return string(*l) }
func (l *logFormat) Type() string   { return "format" }

// Set reads the flag's value.
func (l *logFormat) Set(s string) error {
	if f := logFormat(s); f == logText || f == logJSON {
		*l = f
		return nil
	}
	return fmt.Errorf("want text or json")
}

// logFlag declares how lines about the progress look.
func (s streams) logFlag(f *flagSet) {
	to := s.log
	if to == nil {
		to = new(logFormat)
	}
	f.Var(to, "log", "`FORMAT` lines of text or json on standard error that tell of the progress, every 30 s, and of what went wrong (bars on a terminal, else text)")
	f.completeWith("log", words(string(logText), string(logJSON)))
}

// asJSON tells whether standard error has lines of JSON.
func (s streams) asJSON() bool { return s.log != nil && *s.log == logJSON }

// newLog writes lines of JSON.
func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// fails tells a person, or an engine, what ended the program, and returns its code. more is for people.
func (s streams) fails(code int, what, more string) int {
	if s.asJSON() {
		newLog(s.err).Error(what, "code", code, "again", again(code))
		return code
	}
	fmt.Fprintf(s.err, "onnx-compress: %s\n%s", what, more)
	return code
}

// again tells whether what ended with a code may come right another time with nothing changed: for want of memory or disk, or because it was
// broken off.
func again(code int) bool {
	return code == exitFailed || code == exitCrashed || code == exitInterrupted
}

// headway is how far a stage of work is.
type headway struct {
	stage, remark string
	done, total   int
	grows         bool          // whether the steps of the stage turn out to be more on the way
	after         time.Duration // since the work began
	left          time.Duration // until the stage ends as fast as it went so far, negative where that is not known
	memory        int64         // what this process has resident, in bytes; 0 where that is not known
}

// text is the headway as a line for people.
func (h headway) text() string {
	out := h.stage
	switch {
	case h.total > 0 && h.grows:
		out += fmt.Sprintf(" %d of %d so far", h.done, h.total)
	case h.total > 0:
		out += fmt.Sprintf(" %d of %d (%d %%)", h.done, h.total, 100*int64(h.done)/int64(h.total))
	}
	if h.remark != "" {
		out += ": " + h.remark
	}
	out += fmt.Sprintf(", after %s", h.after.Round(time.Second))
	if h.left >= 0 {
		out += fmt.Sprintf(", %s left", h.left.Round(time.Second))
	}
	if h.memory > 0 {
		out += fmt.Sprintf(", %d MiB", h.memory>>20)
	}
	return out + "\n"
}

// log writes the headway as a line of JSON.
func (h headway) log(l *slog.Logger) {
	list := []slog.Attr{slog.String("stage", h.stage)}
	if h.total > 0 {
		list = append(list, slog.Int("done", h.done), slog.Int("of", h.total))
	}
	if h.remark != "" {
		list = append(list, slog.String("remark", h.remark))
	}
	list = append(list, slog.Float64("seconds", h.after.Round(time.Millisecond).Seconds()))
	if h.left >= 0 {
		list = append(list, slog.Float64("left", h.left.Round(time.Millisecond).Seconds()))
	}
	if h.memory > 0 {
		list = append(list, slog.Int64("memory", h.memory))
	}
	l.LogAttrs(context.Background(), slog.LevelInfo, "progress", list...)
}
