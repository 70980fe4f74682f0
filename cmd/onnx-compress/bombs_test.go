package main

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// Files of kilobytes that would take hours or all memory are refused at once, or worked off like any other, and never end in
// a panic.
func TestBombs(t *testing.T) {
	t.Setenv(provision.ONNXRuntime.Env(), provisiontest.Need(t, provision.ONNXRuntime))
	for _, c := range []struct {
		name  string
		args  func(t *testing.T) []string
		code  int
		words []string
	}{
		{"functions that call functions", inspecting(functionBomb), 1, []string{"bomb.onnx", "3298534883327 nodes", "F40", "1048576"}},
		{"empty functions that call functions", inspecting(emptyFunctionBomb), 1, []string{"bomb.onnx", "F40", "1048576"}},
		{"100,000 Identities", inspecting(chainBomb("Identity", false)), 0, nil},
		{"100,000 Identities behind a weight", inspecting(chainBomb("Identity", true)), 0, nil},
		{"100,000 Transposes behind a weight", inspecting(chainBomb("Transpose", true)), 0, nil},
		{"a weight with 20,000 users", inspecting(sharedBomb), 0, nil},
		{"subgraphs in subgraphs", inspecting(nestedBomb(60)), 1, []string{"bomb.onnx", "nest more than 100 deep"}},
		{"as deep as may be", inspecting(nestedBomb(30)), 0, nil},
		{"8·10⁹ numbers at an input", compressing(inputBomb(8_000_000_000)), 0, []string{`input "x"`, "8000000000 numbers", "268435456"}},
		{"2⁸⁰ numbers at an input", compressing(inputBomb(1<<40, 1<<40)), 0, []string{`input "x"`, "more elements than memory can address"}},
		{"a weight whose size overflows", inspecting(weightBomb(1<<40, 1<<40)), 1, []string{"bomb.onnx", `"w"`, "more elements than memory can address"}},
		{"external data beyond the file", inspecting(externalBomb("w.data", "offset", "1152921504606846976")), 1, []string{"bomb.onnx", `"w"`, "bytes 1152921504606846976", "w.data, which has 64"}},
		{"a model that is a device", func(t *testing.T) []string { return []string{"inspect", device(t, "m.onnx")} }, 1, []string{"m.onnx", "not a regular file"}},
		{"external data that is a device", inspecting(externalBomb("zero", "offset", "0")), 1, []string{"bomb.onnx", `"w"`}},

		{"laughs in a configuration", withConfig(laughs), 2, []string{"line 2", "an anchor"}},
		{"a deep configuration", withConfig("compress: " + strings.Repeat("[", 100_000)), 2, []string{"line 1", "more than 4 deep"}},
		{"a list in a list", withConfig("compress:\n  " + strings.Repeat("- ", 100_000)), 2, []string{"line 2", "more than 4 deep"}},
		{"a mapping in a mapping", withConfig(strings.Repeat("a: ", 80_000)), 2, []string{"line 1", "more than 2000 keys"}},
		{"a large configuration", withConfig(strings.Repeat("#\n", 1<<20)), 2, []string{"more than 256 KiB"}},
		{"a configuration that is a device", func(t *testing.T) []string { return []string{"config", "--config", device(t, "c.yaml")} }, 2, []string{"c.yaml", "not a regular file but a device"}},

		{"an .npz that unpacks to 300 MiB", sampled("a.npz", npzBomb), 1, []string{"a.npz", "x.npy", "to 300 MiB", "256 MiB"}},
		{"an .npz that says it is huge", sampled("a.npz", lyingNPZ), 1, []string{"a.npz", "x.npy", "needs 4398046511232 bytes"}},
		{"a header of gigabytes", sampled("a.npy", func(t *testing.T, path string) { holes(t, path, "\x93NUMPY\x02\x00\xff\xff\xff\x7f", 1<<32) }), 1, []string{"a.npy", "header claims"}},
		{"a sample of 1 TiB", sampled("a.npy", func(t *testing.T, path string) { holes(t, path, npyHead(1, 1<<38), 1<<40+128) }), 1, []string{"a.npy", "takes 1 TiB", "1 GiB"}},
		{"2³² samples", sampled("a.npy", func(t *testing.T, path string) { holes(t, path, npyHead(1<<32, 7), 1<<37) }), 1, []string{"a.npy", "4294967296 samples", "16777216"}},
		{"2³² records", sampled("a.bin", func(t *testing.T, path string) { holes(t, path, "", 8<<32) }), 1, []string{"a.bin", "4294967296 samples", "16777216"}},
		{"samples that are a device", func(t *testing.T) []string { return withSamples(t, "gemm_plain", device(t, "a.npy")) }, 1, []string{"a.npy", "a device"}},
		{"records that are a device", func(t *testing.T) []string { return withSamples(t, "gemm_plain", device(t, "a.bin")) }, 1, []string{"a.bin", "a device"}},
		{"a picture of 121 million pixels", pictured(pngBomb(11_000, 11_000, 1)), 1, []string{"a.png", "461.6 MiB", "256 MiB"}},
		{"a picture larger than any", pictured(pngBomb(1<<30, 1<<30, 0)), 1, []string{"a.png"}},
		{"a picture that goes on", pictured(pngBomb(8, 8, 1<<20)), 1, []string{"a.png", "too much pixel data"}},
		{"a picture that is a device", pictured(func(t *testing.T, path string) {
			if err := os.Symlink("/dev/zero", path); err != nil {
				t.Fatal(err)
			}
		}), 1, []string{"a.png", "a device"}},
		{"a tensor that is a device", tensorBomb, 1, []string{"input_0.pb", "not a regular file but a device"}},
		{"labels that are a device", func(t *testing.T) []string {
			args := sampled("a.npy", func(t *testing.T, path string) { holes(t, path, npyHead(8, 7), 8*7*4+128) })(t)
			return append(args, "--labels", device(t, "labels.txt"))
		}, 1, []string{"labels.txt", "not a regular file"}},
		{"a plan that is a device", func(t *testing.T) []string {
			return append(compressing(func(t *testing.T) *onnxio.Model { return testkit.Zoo(t, "gemm_plain") })(t), "--from-plan", device(t, "plan.json"))
		}, 1, []string{"plan.json", "not a regular file but a device"}},
		{"a result that is a device", func(t *testing.T) []string {
			return []string{"report", device(t, "r.json"), "-o", filepath.Join(t.TempDir(), "r.html")}
		}, 1, []string{"r.json", "not a regular file but a device"}},
		{"statistics that are a device", func(t *testing.T) []string {
			args := sampled("a.npy", func(t *testing.T, path string) { holes(t, path, npyHead(8, 7), 8*7*4+128) })(t)
			return append(args, "--stats", device(t, "s.stats"))
		}, 2, []string{"s.stats"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args(t)
			var out, errs bytes.Buffer
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			code := run(args, streams{out: &out, err: &errs})
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			text := out.String() + errs.String()
			if code != c.code {
				t.Errorf("exit code %d, want %d:\n%.2000s", code, c.code, text)
			}
			for _, w := range c.words {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not said in\n%.2000s", w, text)
				}
			}
			// About a second where nothing else runs; what grows with the square takes many minutes.
			if took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if total := after.TotalAlloc - before.TotalAlloc; total > 2<<30 {
				t.Errorf("%d MiB were taken", total>>20)
			}
		})
	}
}

const laughs = `compress:
  target: &a [x, x, x, x, x, x, x, x]
  only: &b [*a, *a, *a, *a, *a, *a, *a, *a]
  keep: &c [*b, *b, *b, *b, *b, *b, *b, *b]
  methods: [*c, *c, *c, *c, *c, *c, *c, *c]
`

// file writes a model, sound or not, to a folder of its own, where w.data and a link to a device are.
func file(t *testing.T, m *onnxio.Model) string {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bomb.onnx")
	if err := errors.Join(
		os.WriteFile(path, data, 0o644),
		os.WriteFile(filepath.Join(filepath.Dir(path), "w.data"), make([]byte, 64), 0o644),
		os.Symlink("/dev/zero", filepath.Join(filepath.Dir(path), "zero")),
	); err != nil {
		t.Fatal(err)
	}
	return path
}

func inspecting(bomb func(t *testing.T) *onnxio.Model) func(t *testing.T) []string {
	return func(t *testing.T) []string { return []string{"inspect", file(t, bomb(t))} }
}

func compressing(bomb func(t *testing.T) *onnxio.Model) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		path := file(t, bomb(t))
		return []string{path, "-o", path + ".out", "--target", "params=0.9"}
	}
}

func withConfig(text string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{"config", "--config", path}
	}
}

// withSamples compresses a model of the zoo on samples.
func withSamples(t *testing.T, model, path string) []string {
	m := testkit.Save(t, testkit.Zoo(t, model))
	return []string{m, "-o", m + ".out", "--target", "params=0.9", "--calib", path}
}

func sampled(name string, write func(t *testing.T, path string)) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		path := filepath.Join(t.TempDir(), name)
		write(t, path)
		return withSamples(t, "gemm_plain", path)
	}
}

func pictured(write func(t *testing.T, path string)) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		path := filepath.Join(t.TempDir(), "a.png")
		write(t, path)
		b := testmodels.NewBuilder(1, 17, 8)
		b.Conv(b.Input("x", tensor.Float32, "N", 3, 8, 8), 3, 16, []int{3, 3})
		b.Output(b.Rename("y"), tensor.Float32, "N", 16, nil, nil)
		m := testkit.Save(t, testkit.Built(t, b))
		return []string{m, "-o", m + ".out", "--target", "params=0.9", "--calib", path}
	}
}

// device makes a link to what never ends.
func device(t *testing.T, name string) string {
	t.Helper()
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no /dev/zero")
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/dev/zero", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// holes writes a file that is mostly a hole.
func holes(t *testing.T, path, head string, size int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("files may have no holes")
	}
	if err := os.WriteFile(path, []byte(head), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Skip(err) // such as where files are limited
	}
}

func npyHead(shape ...int) string {
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]"))
	text += strings.Repeat(" ", 117-len(text)) + "\n"
	return "\x93NUMPY\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(text)))) + text
}

// zipped writes an archive of one entry: a head, and a number of blocks of a megabyte of zeros.
func zipped(t *testing.T, path, head string, blocks int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("x.npy")
	if err == nil {
		_, err = io.WriteString(w, head)
	}
	for zeros := make([]byte, 1<<20); err == nil && blocks > 0; blocks-- {
		_, err = w.Write(zeros)
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func npzBomb(t *testing.T, path string) { zipped(t, path, npyHead(300<<12, 64), 300) }

func lyingNPZ(t *testing.T, path string) { zipped(t, path, npyHead(1, 1<<40), 0) }

// pngBomb writes a picture of a size that has so many rows of zeros.
func pngBomb(width, height, rows int) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		var data bytes.Buffer
		z := zlib.NewWriter(&data)
		row := make([]byte, 1+3*width%(1<<20))
		for range rows {
			if _, err := z.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		out := []byte("\x89PNG\r\n\x1a\n")
		chunk := func(kind string, b []byte) {
			out = binary.BigEndian.AppendUint32(out, uint32(len(b)))
			from := len(out)
			out = append(append(out, kind...), b...)
			out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
		}
		head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
		chunk("IHDR", append(head, 8, 2, 0, 0, 0))
		chunk("IDAT", data.Bytes())
		chunk("IEND", nil)
		if err := os.WriteFile(path, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func tensorBomb(t *testing.T) []string {
	folder := filepath.Dir(device(t, "input_0.pb"))
	return withSamples(t, "gemm_plain", folder)
}

// calls makes a model of functions F0 to F40, each of which but the first calls the one before it twice.
func calls(first []graph.Node) *onnxio.Model {
	own := []graph.Opset{{Version: 17}, {Domain: "local", Version: 1}}
	functions := []graph.Function{graph.NewFunction("local::F0", []string{"a"}, []string{"b"}, own, first)}
	for i := 1; i <= 40; i++ {
		op := fmt.Sprint("local::F", i-1)
		functions = append(functions, graph.NewFunction(fmt.Sprint("local::F", i), []string{"a"}, []string{"b"}, own, []graph.Node{
			graph.NewNode(op, "", []string{"a"}, []string{"t"}), graph.NewNode(op, "", []string{"t"}, []string{"b"}),
		}))
	}
	p := chained([]graph.Node{graph.NewNode("local::F40", "", []string{"x"}, []string{"y"})})
	p.Opsets, p.Functions = own, functions
	return p.Model()
}

func functionBomb(*testing.T) *onnxio.Model {
	return calls([]graph.Node{graph.NewNode("Relu", "", []string{"a"}, []string{"b"})})
}

func emptyFunctionBomb(*testing.T) *onnxio.Model {
	m := calls(nil)
	parts := graph.Of(m).Parts()
	parts.Functions[0] = graph.NewFunction("local::F0", []string{"b"}, []string{"b"}, parts.Opsets, nil)
	return parts.Model()
}

// chained is a model of nodes from x to y, [N, 6] both.
func chained(nodes []graph.Node) graph.Parts {
	dims := []graph.Dim{{Name: "N"}, {Size: 6}}
	return graph.Parts{
		IR: 8, Opsets: []graph.Opset{{Version: 17}}, Name: "g", Nodes: nodes,
		Inputs:  []graph.Value{graph.NewValue("x", tensor.Float32, dims)},
		Outputs: []graph.Value{graph.NewValue("y", tensor.Float32, dims)},
	}
}

// product is the parts of a model that multiplies x, or what nodes make of it, with a weight.
func product(t *testing.T) graph.Parts {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 6)
	b.Node("MatMul", []string{x, b.Weight("w", 6, 6, 6)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 6)
	return graph.Of(testkit.Built(t, b)).Parts()
}

// chainBomb puts 100,000 nodes before the product, or between it and its weight.
func chainBomb(op string, weight bool) func(t *testing.T) *onnxio.Model {
	return func(t *testing.T) *onnxio.Model {
		p := product(t)
		spec := p.Nodes[0].Spec()
		end := &spec.Inputs[0]
		if weight {
			end = &spec.Inputs[1]
		}
		var nodes []graph.Node
		for i := range 100_000 {
			name := fmt.Sprint("v", i)
			nodes = append(nodes, graph.NewNode(op, "", []string{*end}, []string{name}))
			*end = name
		}
		p.Nodes = append(nodes, spec.Node())
		return p.Model()
	}
}

func sharedBomb(t *testing.T) *onnxio.Model {
	p := product(t)
	last, w := "x", p.Nodes[0].Input(1)
	p.Nodes = nil
	for i := range 20_000 {
		name := fmt.Sprint("v", i)
		p.Nodes = append(p.Nodes, graph.NewNode("MatMul", "", []string{last, w}, []string{name}))
		last = name
	}
	p.Nodes = append(p.Nodes, graph.NewNode("Relu", "", []string{last}, []string{"y"}))
	return p.Model()
}

// nestedBomb nests subgraphs.
func nestedBomb(depth int) func(t *testing.T) *onnxio.Model {
	return func(t *testing.T) *onnxio.Model {
		out := func(i int) []graph.Value {
			return []graph.Value{graph.NewValue(fmt.Sprint("o", i), tensor.Float32, nil)}
		}
		body := graph.Parts{Name: "g", Nodes: []graph.Node{graph.NewNode("Relu", "", []string{"x"}, []string{"o0"})}, Outputs: out(0)}
		for i := 1; i <= depth; i++ {
			other := graph.Parts{Name: "e", Nodes: []graph.Node{graph.NewNode("Neg", "", []string{"x"}, []string{fmt.Sprint("e", i)})}, Outputs: []graph.Value{graph.NewValue(fmt.Sprint("e", i), tensor.Float32, nil)}}
			node := graph.NewNode("If", "", []string{"c"}, []string{fmt.Sprint("o", i)}, graph.Body("then_branch", body), graph.Body("else_branch", other))
			body = graph.Parts{Name: "g", Nodes: []graph.Node{node}, Outputs: out(i)}
		}
		p := chained(append(body.Nodes, graph.NewNode("Neg", "", []string{fmt.Sprint("o", depth)}, []string{"y"})))
		p.Inputs = append(p.Inputs, graph.NewValue("c", tensor.Bool, []graph.Dim{}))
		return p.Model()
	}
}

// inputBomb declares an input of so many numbers.
func inputBomb(shape ...int) func(t *testing.T) *onnxio.Model {
	return func(t *testing.T) *onnxio.Model {
		p := product(t)
		p.Inputs = []graph.Value{graph.NewValue("x", tensor.Float32, graph.Sizes(shape))}
		spec := p.Nodes[0].Spec()
		spec.Inputs[0] = "r"
		p.Nodes = []graph.Node{graph.NewNode("Reshape", "", []string{"x", "s"}, []string{"r"}), spec.Node()}
		b := testmodels.NewBuilder(1, 17, 8)
		b.Ints("s", -1, 6)
		b.Input("q", tensor.Float32, 1)
		b.Node("Neg", []string{"q"})
		b.Output(b.Rename("z"), tensor.Float32, 1)
		p.Initializers = append(p.Initializers, graph.Of(testkit.Built(t, b)).Initializers()...)
		return p.Model()
	}
}

// weightBomb declares a weight of so many numbers that has none.
func weightBomb(rows, columns int) func(t *testing.T) *onnxio.Model {
	return func(t *testing.T) *onnxio.Model {
		return unsound(t, fmt.Sprintf(`initializer { name: "w" data_type: 1 dims: %d dims: %d }`, rows, columns))
	}
}

// unsound is a product whose weight is what a text in protobuf's format says.
func unsound(t *testing.T, weight string) *onnxio.Model {
	p := chained([]graph.Node{graph.NewNode("MatMul", "", []string{"x", "w"}, []string{"y"})})
	return testkit.With(t, p.Model(), "graph { "+weight+" }")
}

// externalBomb keeps the weight in a file, with one more thing said of where in it.
func externalBomb(location, key, value string) func(t *testing.T) *onnxio.Model {
	return func(t *testing.T) *onnxio.Model {
		return unsound(t, fmt.Sprintf(`initializer { name: "w" data_type: 1 dims: 4 dims: 4 data_location: EXTERNAL
			external_data { key: "location" value: %q } external_data { key: %q value: %q } }`, location, key, value))
	}
}
