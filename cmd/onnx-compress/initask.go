package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// none is the answer that there is nothing.
const none = "-"

// question asks for the values of flags.
type question struct {
	flags []string
	text  string
	// suggested is the answer of who only presses Enter, given what was answered before.
	suggested func(a answers) string
	// read turns an answer into values, or says what is wrong with it.
	read func(word string, a answers) error
	// skip says that what was answered before leaves nothing to ask.
	skip func(a answers) bool
}

func (q question) passed(a answers) bool { return q.skip != nil && q.skip(a) }

// questions are the five.
func (s *subject) questions() []question {
	return []question{s.whereSamplesAre(), s.howPrepared(), s.whatItGives(), s.whatToReach(), whatFor()}
}

func (s *subject) whereSamplesAre() question {
	return question{
		flags:     []string{"calib"},
		text:      "Where are samples like those that the model will see: a folder of images, an .npy or .npz file?",
		suggested: func(answers) string { return s.samplesHere() },
		read: func(word string, a answers) error {
			if word != none {
				if _, err := samples.Open(word, samples.SourceOptions{}, s.inputs); err != nil {
					return mistyped(word, err)
				}
			}
			a["calib"] = []string{word}
			return nil
		},
	}
}

// samplesHere finds samples in the current folder, by the names that people give them.
func (s *subject) samplesHere() string {
	for _, name := range []string{"calib", "calibration", "samples", "photos", "images", "pictures", "train", "val"} {
		for _, end := range []string{".npz", ".npy", ".bin", ""} {
			if _, err := samples.Open(name+end, samples.SourceOptions{}, s.inputs); err == nil {
				return name + end
			}
		}
	}
	arrays := func(e os.DirEntry) bool {
		if end := filepath.Ext(e.Name()); e.IsDir() || end != ".npz" && end != ".npy" {
			return false
		}
		_, err := samples.Open(e.Name(), samples.SourceOptions{}, s.inputs)
		return err == nil
	}
	if here := onlyHere(none, arrays); here != none {
		return here
	}
	if here := onlyHere(none, isPhotos); s.takesImages() && here != none {
		return strings.TrimSuffix(here, "/")
	}
	return none
}

// howPrepared asks for the preparation of images, or without samples for the sizes that the model leaves open.
func (s *subject) howPrepared() question {
	if s.takesImages() {
		return question{
			flags: prepares,
			text:  "How are images prepared, as " + strings.Join(prepares, "=, ") + "= by spaces?",
			suggested: func(a answers) string {
				if pairs := s.preparation(a["calib"][0]); len(pairs) > 0 {
					return strings.Join(pairs, " ")
				}
				return none
			},
			read: func(word string, a answers) error { return readPairs(word, prepares, a) },
			skip: func(a answers) bool { return a["calib"] == nil || !isFolder(a["calib"][0]) },
		}
	}
	return question{
		flags: []string{"input-shape"},
		text:  "At which sizes does the model run, as INPUT=SIZES by spaces?",
		suggested: func(answers) string {
			var out []string
			for _, in := range s.inputs {
				if shape := s.open[in.Name]; shape != nil {
					out = append(out, in.Name+"="+strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "x"), "[]"))
				}
			}
			return strings.Join(out, " ")
		},
		read: func(word string, a answers) error {
			if word != none {
				a["input-shape"] = strings.Fields(word)
			}
			return a.check("input-shape")
		},
		skip: func(a answers) bool { return len(s.open) == 0 || a["calib"] != nil && a["calib"][0] != none },
	}
}

func (s *subject) takesImages() bool { return len(s.inputs) > 0 && len(s.inputs[0].Shape) == 4 }

// readPairs reads NAME=VALUE by spaces.
func readPairs(text string, names []string, a answers) error {
	for _, word := range strings.Fields(text) {
		name, value, ok := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if word == none {
			continue
		}
		if !ok || !slices.Contains(names, name) {
			return fmt.Errorf("%q: want one of %s with its value, such as crop=224%s", word, strings.Join(names, ", "), suggest.Phrase(name, names))
		}
		a[name] = []string{value}
		if err := a.check(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *subject) whatItGives() question {
	if len(s.outputs) == 0 {
		return question{skip: func(answers) bool { return true }}
	}
	first := s.outputs[0]
	known := each(verify.Kinds(), func(k verify.Kind) string { return string(k) })
	return question{
		flags:     []string{"kind"},
		text:      fmt.Sprintf("What is %s: %s?", quote.Name(first.Name), strings.Join(known, ", ")),
		suggested: func(answers) string { return string(first.Kind) },
		read: func(word string, a answers) error {
			if word == string(first.Kind) || word == none {
				return nil // the program tells it so
			}
			if _, err := verify.ParseKind(word); err != nil {
				return err
			}
			a["kind"] = []string{first.Name + "=" + word}
			return nil
		},
	}
}

func (s *subject) whatToReach() question {
	return question{
		flags: []string{"target"},
		text:  "What to reach: agree=99%, cosine=0.99, boxes=98%, iou=97%, cer=1% or snr=30dB, with labels drop=0.5%; or macs=0.5, params=60%, bytes=20MB, latency=0.6; several by spaces?",
		suggested: func(a answers) string {
			if a["calib"] == nil || a["calib"][0] == none {
				return "macs=0.9" // next to nothing, since nothing judges it
			}
			kind := verify.Kind("values")
			if len(s.outputs) > 0 {
				kind = s.outputs[0].Kind
			}
			if a["kind"] != nil {
				_, word, _ := cutLast(a["kind"][0])
				kind = verify.Kind(word)
			}
			return verify.Fitting(kind).String()
		},
		read: func(word string, a answers) error {
			if word == none {
				return errors.New("without a target the program takes the one in brackets; press Enter for it")
			}
			a["target"] = strings.Fields(word)
			return a.check("target")
		},
	}
}

func whatFor() question {
	known := each(compress.Purposes(), func(p compress.Purpose) string { return string(p) })
	return question{
		flags:     []string{"for"},
		text:      "What is it made for: " + strings.Join(known, ", ") + ", or all alike?",
		suggested: func(answers) string { return none },
		read: func(word string, a answers) error {
			a["for"] = []string{word}
			if word == none {
				return nil
			}
			return a.check("for")
		},
	}
}

// check says what is wrong with the values of a flag, and takes them back.
func (a answers) check(name string) error {
	flag := newCompress(streams{}).Flags().Lookup(name)
	for _, word := range a[name] {
		if err := checkWord("compress", flag, word); err != nil {
			delete(a, name)
			return err
		}
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// dialogue is with whoever answers.
type dialogue struct {
	ctx   context.Context
	in    io.Reader
	out   io.Writer
	lines chan string
	count int
	err   error
}

func (d *dialogue) say(text string) {
	if _, err := io.WriteString(d.out, text); d.err == nil {
		d.err = err
	}
}

// put asks until the answer makes sense.
func (d *dialogue) put(q question, a answers) error {
	suggested := q.suggested(a)
	if d.in == nil {
		return q.read(suggested, a)
	}
	d.count++
	for {
		d.say(fmt.Sprintf("\n%d. %s [%s] ", d.count, q.text, quote.Name(suggested)))
		word, err := d.answer()
		if err != nil {
			return err
		}
		if word == "" {
			word = suggested
		}
		if err = q.read(word, a); err == nil {
			return d.err
		}
		d.say(err.Error() + "\n")
	}
}

// answer reads a line, until Ctrl-C.
func (d *dialogue) answer() (string, error) {
	if d.lines == nil {
		d.lines = make(chan string)
		go func() {
			defer close(d.lines)
			for s := bufio.NewScanner(d.in); s.Scan(); {
				d.lines <- strings.TrimSpace(s.Text())
			}
		}()
	}
	select {
	case <-d.ctx.Done():
		return "", d.ctx.Err()
	case line, more := <-d.lines:
		if !more {
			return "", errEnded
		}
		return line, nil
	}
}
