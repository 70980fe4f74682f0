package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// door is a way to samples: what to have, a command that makes them of it where one is needed, and the flags by which a run takes them.
type door struct{ from, made, flags string }

// String is the door with the command that goes through it.
func (d door) String() string {
	if d.made != "" {
		return d.from + ":\n  " + d.made
	}
	return d.from + ":"
}

// photoDoor leads to a folder of images, prepared by flags.
func photoDoor(folder, prepared string) door {
	return door{from: "From a folder of JPEG, PNG or WebP images, prepared as the model wants them", flags: "--calib " + folder + prepared}
}

// doors are the ways to samples that fit what a model takes: what lies in the current folder and can be read as such; then from texts where there
// are ids of tokens, from recordings where an input is a wave, from photos where it is an image. Files are named that lie in the current folder,
// where these leave no doubt.
func (s *subject) doors() []door {
	var out []door
	if here := s.samplesHere(); here != none && !isFolder(here) {
		out = append(out, door{from: "From " + quote.Name(here) + ", which lies here", flags: "--calib " + quote.Shell(here)})
	}
	if d, ok := s.door(); ok {
		out = append(out, d)
	}
	var arrays []string
	for _, in := range s.inputs {
		arrays = append(arrays, fmt.Sprintf("%q: array", in.Name))
		if s.takes[in.Name] == compress.TakesTokens { // which the others are made of
			arrays = arrays[len(arrays)-1:]
			break
		}
	}
	return append(out, door{
		from:  fmt.Sprintf("From Python, prepared as you run the model, with an array of many samples for each input: numpy.savez(\"samples.npz\", **{%s})", strings.Join(arrays, ", ")),
		flags: "--calib samples.npz",
	})
}

// door is the way that what a model takes suggests, false where it is neither texts nor sound nor images.
func (s *subject) door() (door, bool) {
	model := quote.Shell(s.path)
	for _, in := range s.inputs {
		switch s.takes[in.Name] {
		case compress.TakesTokens:
			return door{
				"From a file with a text a line, by the Python package of the wheel",
				fmt.Sprintf("python -m onnx_compress.texts %s --tokenizer tokenizer.json --model %s -o calib.npz", onlyHere("texts.txt", isText), model), "--calib calib.npz",
			}, true
		case compress.TakesWave:
			return door{
				"From a folder of WAV files, by the Python package of the wheel",
				fmt.Sprintf("python -m onnx_compress.waves %s --model %s --rate %d%s -o calib.npz", onlyHere("recordings/", hasFiles(".wav", ".wave")), model, compress.UsualRate, s.piece()), "--calib calib.npz",
			}, true
		}
	}
	if !s.takesImages() {
		return door{}, false
	}
	folder := onlyHere("photos/", isPhotos)
	return photoDoor(folder, asFlags(s.preparation(folder))), true
}

// piece says how long the pieces are that a model of streams takes, where its input leaves that open.
func (s *subject) piece() string {
	for _, in := range s.inputs {
		if shape := s.open[in.Name]; s.takes[in.Name] == compress.TakesWave && shape != nil && slices.Contains(slices.Collect(maps.Values(s.takes)), compress.TakesState) {
			return fmt.Sprintf(" --seconds %.4g", float64(shape[len(shape)-1])/compress.UsualRate)
		}
	}
	return ""
}

// onlyHere is the one entry of the current folder that is such, as a word for a shell, with a slash behind a folder; otherwise it is the name that
// stands for one.
func onlyHere(otherwise string, such func(os.DirEntry) bool) string {
	entries, err := os.ReadDir(".")
	if err != nil {
		return otherwise
	}
	found := ""
	for _, e := range entries {
		if info, err := os.Stat(e.Name()); err == nil && e.Type() == fs.ModeSymlink { // as data sets often are
			e = fs.FileInfoToDirEntry(info)
		}
		if strings.HasPrefix(e.Name(), ".") || quote.Name(e.Name()) != e.Name() || !such(e) {
			continue
		}
		if found != "" {
			return otherwise
		}
		found = quote.Shell(e.Name())
		if e.IsDir() {
			found += "/"
		}
	}
	if found == "" {
		return otherwise
	}
	return found
}

// isText tells whether an entry may be a file of texts, as lists that come with models and programs are not.
func isText(e os.DirEntry) bool {
	name, ok := strings.CutSuffix(strings.ToLower(e.Name()), ".txt")
	known := []string{"vocab", "merges", "requirements", "labels", "classes", "license", "readme", "notice"}
	return ok && e.Type().IsRegular() && !slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(name, k) })
}

func isPhotos(e os.DirEntry) bool { return hasFiles(".jpg", ".jpeg", ".png", ".webp")(e) }

// hasFiles tells whether an entry is a folder with files that end so in it; only its first entries are looked at.
func hasFiles(ends ...string) func(os.DirEntry) bool {
	return func(e os.DirEntry) bool {
		if !e.IsDir() {
			return false
		}
		f, err := os.Open(e.Name())
		if err != nil {
			return false
		}
		defer f.Close()
		names, _ := f.Readdirnames(64) // what there is of them; a folder that cannot be read holds none
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(ends, strings.ToLower(filepath.Ext(name))) })
	}
}

// preparation is how the images of a folder, which need not be there, may be prepared for the first input, as NAME=VALUE: brought to its size as
// most networks of its kind want it, which the sizes of the images say more of, and with colours likewise.
func (s *subject) preparation(folder string) []string {
	if !s.takesImages() {
		return nil
	}
	shape := s.inputs[0].Shape
	channels, height, width := shape[1], shape[2], shape[3]
	if shape[3] == 1 || shape[3] == 3 {
		channels, height, width = shape[3], shape[1], shape[2]
	}
	sizes, err := samples.ImageSizes(folder, 32)
	if err != nil {
		sizes = nil
	}
	var out []string
	colours := "imagenet"
	gives := func(kinds ...verify.Kind) bool {
		return slices.ContainsFunc(s.outputs, func(o compress.OutputInspection) bool { return slices.Contains(kinds, o.Kind) })
	}
	boxes := gives("boxes")
	whole := boxes || gives("mask")
	if open := height <= 0 && width <= 0; open {
		if height, width, whole = compress.UsualImage(s.outputs); height != width { // lines of text
			width = -1
		} else if usual := s.open[s.inputs[0].Name]; len(usual) == len(shape) {
			height, width = usual[2], usual[3]
			if shape[3] == 1 || shape[3] == 3 {
				height, width = usual[1], usual[2]
			}
		}
	}
	switch {
	case height > 0 && width < 0: // lines of text
		out, colours = []string{fmt.Sprintf("resize=%d", height)}, "half"
	case height <= 0:
	case whole || height != width:
		out = []string{fmt.Sprintf("resize=%dx%d", height, width)}
	default:
		short := func(z samples.Size) bool {
			return min(z.Height, z.Width) < height || min(z.Height, z.Width) > height*4/3
		}
		if len(sizes) == 0 || slices.ContainsFunc(sizes, short) {
			out = []string{fmt.Sprintf("resize=%d", height*8/7)} // as 256 are to 224
		}
		out = append(out, fmt.Sprintf("crop=%d", height))
	}
	if channels == 3 && !boxes { // which detectors mostly find in [0, 1] as it is
		out = append(out, "normalize="+colours)
	}
	return out
}

// asFlags writes NAME=VALUE as flags, each with a blank before it.
func asFlags(pairs []string) string {
	out := ""
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		out += " --" + name + " " + value
	}
	return out
}
