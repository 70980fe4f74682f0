package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// zooModel writes a model of the zoo into the current folder.
func zooModel(t *testing.T, name, path string) {
	t.Helper()
	c, ok := testmodels.Get(name)
	if !ok {
		t.Fatalf("no model %q", name)
	}
	m, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
}

// onePixel is an image as a PNG file.
func onePixel(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// initiate runs init with somebody who answers, and returns what it says and the configuration.
func initiate(t *testing.T, in io.Reader, args ...string) (said, config string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newInitOf(streams{out: &out, err: &out}, in)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(context.Background())
	data, readErr := os.ReadFile(configName)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		t.Fatal(readErr)
	}
	return out.String(), string(data), err
}

// wantConfig wants a configuration that holds for compress as these flags do.
func wantConfig(t *testing.T, config, want string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run([]string{"x.onnx", "--print-config"}, streams{out: &out, err: &errs}); code != exitDone || out.String() != want {
		t.Errorf("%d: it holds\n%s%swant\n%s%s", code, out.String(), errs.String(), want, config)
	}
}

// TestInitAsks: Enter takes what is suggested, mistakes are named and asked again, and the configuration says what was answered.
func TestInitAsks(t *testing.T) {
	t.Chdir(t.TempDir())
	zooModel(t, "cnn", "net.onnx")
	if err := errors.Join(os.Mkdir("photos", 0o755), os.WriteFile("photos/a.png", onePixel(t), 0o644)); err != nil {
		t.Fatal(err)
	}
	said, config, err := initiate(t, strings.NewReader("nowhere\n\ncrup=3\n crop=16 normalize=half\nembeding\nembedding\n\n\n"), "net.onnx")
	if err != nil {
		t.Fatal(err, said)
	}
	for _, want := range []string{
		"1. Where are samples", "[photos]", "nowhere: no such file", "2. How are images prepared", `"crup=3": want one of resize`, `(did you mean "crop"?)`,
		`unknown kind "embeding" (did you mean "embedding"?)`, "[cosine=0.99]", "5. What is it made for", "onnx-compress.yaml is written. Next:\n  onnx-compress net.onnx\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	wantConfig(t, config, "compress:\n  target:\n  - cosine=0.99\n  calib: photos\n  crop: \"16\"\n  normalize: half\n  kind:\n  - logits=embedding\n")
	if _, again, err := initiate(t, strings.NewReader(strings.Repeat("\n", 9)), "net.onnx"); !errors.Is(err, os.ErrExist) || again != config {
		t.Errorf("a configuration was replaced: %v", err)
	}
	if _, config, err = initiate(t, strings.NewReader(strings.Repeat("\n", 9)), "net.onnx", "--force", "--kind", "logits=mask"); err != nil || strings.Contains(config, "half") || !strings.Contains(config, "\n  target: iou=97%\n") {
		t.Errorf("%v\n%s", err, config)
	}
}

// TestInitEnds: who stops answering gets no configuration.
func TestInitEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	zooModel(t, "cnn", "net.onnx")
	if _, config, err := initiate(t, strings.NewReader("\n"), "net.onnx"); !errors.Is(err, errEnded) || config != "" {
		t.Errorf("%v\n%s", err, config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	silent, talk := io.Pipe()
	defer talk.Close()
	d := &dialogue{ctx: ctx, in: silent, out: io.Discard}
	if _, err := d.answer(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestInitWithoutTerminal: flags answer, what is suggested holds for the rest, and what makes no sense is refused before anything is written.
func TestInitWithoutTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	zooModel(t, "transformer", "words.onnx")
	for _, c := range []struct{ args, want string }{
		{"words.onnx --target mac=0.5", `--target mac=0.5: target "mac=0.5": unknown kind "mac"`},
		{"words.onnx --crop 16", "--crop says how samples are prepared, but there are none"},
		{"words.onnx --for gpu", `--for gpu`},
		{"words.onnx -o words.onnx --force", "would overwrite words.onnx"},
		{"word.onnx", `did you mean "words.onnx"?`},
		{"", "which model?"},
	} {
		_, config, err := initiate(t, nil, strings.Fields(c.args)...)
		testkit.WantError(t, err, c.want)
		if config != "" {
			t.Errorf("%q wrote\n%s", c.args, config)
		}
	}
	said, config, err := initiate(t, nil, "words.onnx", "--for", "cpu", "--target", "macs=0.9", "--target", "params=50%")
	if err != nil || strings.Contains(said, "1. ") || !strings.Contains(said, "python -m onnx_compress.texts texts.txt --tokenizer tokenizer.json --model words.onnx -o calib.npz") {
		t.Errorf("%v\n%s", err, said)
	}
	wantConfig(t, config, "compress:\n  target:\n  - macs=0.9\n  - params=50%\n  for: cpu\n  input-shape:\n  - tokens=1x128\n")
}

// TestInitNames: what others named cannot leave its comment or value.
func TestInitNames(t *testing.T) {
	t.Chdir(t.TempDir())
	c, _ := testmodels.Get("cnn")
	made, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := onnxio.Write(context.Background(), testkit.Suffixed(made, "\x1b[2J\nort: /evil.so\n#'\""), "net.onnx", onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	said, config, err := initiate(t, nil, "net.onnx")
	if err != nil || strings.Contains(config, "\nort") || strings.Contains(config+said, "\x1b") {
		t.Errorf("%v\n%q\n%q", err, said, config)
	}
	wantConfig(t, config, "compress:\n  target:\n  - macs=0.9\n")
}
