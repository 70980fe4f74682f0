//go:build unix

package main

import "fmt"

// realSeconds bounds each run of a model that a package carries.
const realSeconds = 300

// real compresses trained models that packages carry, of which nobody has the data here.
func (b *bench) real() error {
	if err := b.needPython(); err != nil {
		return err
	}
	args := []string{b.model("ppocr4_rec.onnx"), b.model("face_age.onnx"), "--target", "macs=0.7"}
	out, err := b.script("real.py", append([]string{b.tool, b.file("real"), fmt.Sprint(realSeconds)}, args...)...).Output()
	if err != nil {
		return fmt.Errorf("bench/real.py: %w", err)
	}
	b.printf("Trained models out of packages of pip and npm (text recognition, pages and tables, captchas, detectors, faces, kinds of files, voice activity, wake words, music, molecules, texts), each at macs=0.7 and default options, data-free and on 32 samples of seeded noise, for which nobody made them: what counts is that every run ends with a result that is what it says, or with the reason. Left are the MACs; in dB the worst output on inputs that took no part. At most %d s a run.\n\n%s\n",
		realSeconds, out)
	return nil
}

// testSeconds bounds each run of a test model.
const testSeconds = 60

// onnxTests compresses the test models of the onnx package.
func (b *bench) onnxTests() error {
	if err := b.needPython(); err != nil {
		return err
	}
	out, err := b.script("onnxtests.py", b.tool, b.file("onnxtests"), fmt.Sprint(testSeconds)).Output()
	if err != nil {
		return fmt.Errorf("bench/onnxtests.py: %w", err)
	}
	b.printf("The 1,905 test models of the package onnx, at macs=0.7 and default options, data-free and on 8 samples of seeded noise: nearly all are one operator, with nothing in them to compress. Counted are outcomes, with what differs between models left out; a result that is larger than asked for would stand here as UNTRUE, an internal error or a crash as BROKEN.\n%s\n", out)
	return nil
}
