package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// The commands here make what scripts work on: models, sound and broken, and samples in
// every form that the program takes.

// numbers reads whole numbers.
func numbers(ts *testscript.TestScript, words []string) []int {
	out := make([]int, len(words))
	for i, w := range words {
		n, err := strconv.Atoi(w)
		ts.Check(err)
		out[i] = n
	}
	return out
}

// cmdModel writes a model of the zoo: model NAME FILE.
func cmdModel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: model NAME FILE")
	}
	c, ok := testmodels.Get(args[0])
	if !ok {
		ts.Fatalf("no model %q in the zoo", args[0])
	}
	m, err := c.Build(1)
	ts.Check(err)
	ts.Check(onnxio.Write(context.Background(), m, ts.MkAbs(args[1]), onnxio.WriteOptions{}))
}

// cmdLanguage writes a decoder with a cache: language FILE.
func cmdLanguage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: language FILE")
	}
	m, err := testmodels.Language(1, false).Model()
	ts.Check(err)
	ts.Check(onnxio.Write(context.Background(), m, ts.MkAbs(args[0]), onnxio.WriteOptions{}))
}

// cmdBroken writes a model that cannot be used: broken KIND FILE [LOCATION]. The kinds are
// cyclic, nan (in a weight), and external (data in a file at LOCATION).
func cmdBroken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: broken KIND FILE [LOCATION]")
	}
	b := testmodels.NewBuilder(1, 17, 8)
	b.Linear(b.Linear(b.Input("x", tensor.Float32, "N", 8), 8, 8, false), 8, 8, false)
	b.Output(b.Rename("y"), tensor.Float32, "N", 8)
	m, err := b.Model()
	ts.Check(err)
	p := graph.Of(m).Parts()
	weight := &p.Initializers[0]
	switch args[0] {
	case "cyclic":
		first := p.Nodes[0].Spec()
		first.Inputs[0] = "y"
		p.Nodes[0] = first.Node()
	case "nan":
		d, err := weight.Dense()
		ts.Check(err)
		d.Data = bytes.Clone(d.Data)
		binary.LittleEndian.PutUint32(d.Data[4*13:], math.Float32bits(float32(math.NaN())))
		*weight = onnxio.DenseTensor(weight.Name(), d)
	case "external":
		*weight = onnxio.ExternalTensor(weight.Name(), weight.Type(), weight.Shape(), args[2], 0, int64(weight.Bytes()))
	default:
		ts.Fatalf("unknown kind %q", args[0])
	}
	data, err := p.Marshal()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o644))
}

// cmdFashion writes the trained demo network and its images: fashion MODEL IMAGES.
func cmdFashion(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fashion MODEL IMAGES")
	}
	m, err := testmodels.Fashion()
	ts.Check(err)
	ts.Check(onnxio.Write(context.Background(), m, ts.MkAbs(args[0]), onnxio.WriteOptions{}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), testmodels.FashionImages(), 0o644))
}

// cmdRecords writes seeded binary records of a label byte and pixels: records
// FILE COUNT PIXELS CLASSES.
func cmdRecords(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: records FILE COUNT PIXELS CLASSES")
	}
	n := numbers(ts, args[1:])
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, n[0]*(1+n[1]))
	_, _ = random.Read(data) // which never fails
	for i := range n[0] {
		data[i*(1+n[1])] %= byte(n[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// cmdArrays writes seeded numbers as a .npy file, or several arrays as a .npz: arrays
// FILE NAME=TYPE:DIM,DIM,... The types are f4, f8, i8 and nan, which is f4 with a NaN.
func cmdArrays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: arrays FILE NAME=TYPE:DIM,DIM...")
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for i, word := range args[1:] {
		name, kind, _ := strings.Cut(word, "=")
		typ, dims, _ := strings.Cut(kind, ":")
		data := npy(ts, typ, numbers(ts, strings.Split(dims, ",")), uint64(i))
		if filepath.Ext(args[0]) == ".npy" {
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
			return
		}
		w, err := z.Create(name + ".npy")
		ts.Check(err)
		_, err = w.Write(data)
		ts.Check(err)
	}
	ts.Check(z.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), archive.Bytes(), 0o644))
}

// npy makes the contents of a .npy file, version 1.0.
func npy(ts *testscript.TestScript, typ string, shape []int, seed uint64) []byte {
	count := 1
	text := ""
	for _, n := range shape {
		count *= n
		text += fmt.Sprintf("%d, ", n)
	}
	descr := typ
	if typ == "nan" {
		descr = "f4"
	}
	header := fmt.Sprintf("{'descr': '<%s', 'fortran_order': False, 'shape': (%s), }\n", descr, text)
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	out = append(out, header...)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range count {
		v := random.NormFloat64()
		if typ == "nan" && i == count-3 {
			v = math.NaN()
		}
		switch descr {
		case "f4":
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case "f8":
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		case "i8":
			out = binary.LittleEndian.AppendUint64(out, uint64(random.IntN(8)))
		default:
			ts.Fatalf("unknown type %q", typ)
		}
	}
	return out
}

// cmdImages writes a folder of seeded pictures, PNG and JPEG by turns, and with it the
// file DIR.tsv of their classes: images DIR COUNT WIDTH HEIGHT CLASSES.
func cmdImages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: images DIR COUNT WIDTH HEIGHT CLASSES")
	}
	n := numbers(ts, args[1:])
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Join(folder, "more"), 0o777))
	random := rand.New(rand.NewPCG(1, 2))
	var labels strings.Builder
	for i := range n[0] {
		picture := image.NewRGBA(image.Rect(0, 0, n[1], n[2]))
		for k := range n[1] * n[2] {
			v := random.Uint32()
			picture.Set(k%n[1], k/n[1], color.RGBA{byte(v), byte(v >> 8), byte(v >> 16), 255})
		}
		name := fmt.Sprintf("%02d.png", i)
		var b bytes.Buffer
		err := png.Encode(&b, picture)
		if i%2 == 1 {
			name = fmt.Sprintf("more/%02d.jpg", i)
			b.Reset()
			err = jpeg.Encode(&b, picture, nil)
		}
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(folder, name), b.Bytes(), 0o644))
		fmt.Fprintf(&labels, "%s\t%d\n", name, random.IntN(n[3]))
	}
	ts.Check(os.WriteFile(folder+".tsv", []byte(labels.String()), 0o644))
}

// cmdTestSets writes test_data_set_* folders for a model, with 3 for its open sizes:
// testsets DIR COUNT MODEL.
func cmdTestSets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: testsets DIR COUNT MODEL")
	}
	m, err := onnxio.Read(ts.MkAbs(args[2]))
	ts.Check(err)
	defer m.Close()
	for i := range numbers(ts, args[1:2])[0] {
		folder := filepath.Join(ts.MkAbs(args[0]), fmt.Sprintf("test_data_set_%d", i))
		ts.Check(os.MkdirAll(folder, 0o777))
		feeds, err := testmodels.Feeds(m, uint64(i), nil, 3)
		ts.Check(err)
		k := 0
		for _, in := range graph.Of(m).Inputs() {
			d, ok := feeds[in.Name()]
			if !ok {
				continue
			}
			data, err := onnxio.DenseTensor(in.Name(), d).Marshal()
			ts.Check(err)
			ts.Check(os.WriteFile(filepath.Join(folder, fmt.Sprintf("input_%d.pb", k)), data, 0o644))
			k++
		}
	}
}

// cmdAccuracy reads a result as JSON and wants the compressed model's top-1 accuracy to be
// at least so many percent, on that many labelled samples: accuracy FILE PERCENT SAMPLES.
func cmdAccuracy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: accuracy FILE PERCENT SAMPLES")
	}
	var r compress.Result
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	if r.Verification == nil || r.Verification.Classes == nil || r.Verification.Classes.Accuracy == nil {
		ts.Fatalf("%s has no accuracy: %s", args[0], r.Unverified)
	}
	a, want := r.Verification.Classes.Accuracy, numbers(ts, args[1:])
	ts.Logf("top-1 accuracy %.2f %% of %d, before %.2f %%", 100*a.After, a.Labelled, 100*a.Before)
	if 100*a.After < float64(want[0]) || a.Labelled != want[1] {
		ts.Fatalf("top-1 accuracy %.2f %% on %d samples; want at least %d %% on %d", 100*a.After, a.Labelled, want[0], want[1])
	}
}

// cmdPictureless takes the pictures of samples off a page.
func cmdPictureless(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pictureless PAGE")
	}
	path := ts.MkAbs(args[0])
	page, err := os.ReadFile(path)
	ts.Check(err)
	begin, end := bytes.Index(page, []byte("<p>Samples that changed most")), bytes.Index(page, []byte("</figure></div>\n"))
	if begin < 0 || end < begin {
		ts.Fatalf("%s has no pictures of samples", args[0])
	}
	ts.Check(os.WriteFile(path, slices.Delete(page, begin, end+len("</figure></div>\n")), 0o644))
}
