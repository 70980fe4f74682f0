package ort

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestInfos(t *testing.T) {
	l := openLibrary(t)
	sequence := graph.NewSequence("s", value("", tensor.Float32, 2))
	unranked := graph.NewValue("u", tensor.Float32, nil)
	s := openSession(t, l, made(
		values(value("x", tensor.Float16, "batch", 3, ""), value("scalar", tensor.Int64), value("w", tensor.Float32, 2)),
		values(value("x2", tensor.Float16, "batch", 3, ""), sequence, unranked),
		[]onnxio.Tensor{constant("w", random(1, 2))},
		node("Identity", []string{"x"}, "x2"),
		node("SequenceConstruct", []string{"w"}, "s"),
		node("Reshape", []string{"w", "scalars"}, "u"),
		node("Unsqueeze", []string{"scalar", "axis"}, "scalars"),
		graph.NewNode("Constant", "", nil, []string{"axis"}, graph.Ints("value_ints", 0)),
	), Options{})

	inputs := []Info{
		{Name: "x", Kind: KindTensor, Type: tensor.Float16, Shape: []int64{-1, 3, -1}, Dims: []string{"batch", "", ""}},
		{Name: "scalar", Kind: KindTensor, Type: tensor.Int64, Shape: []int64{}, Dims: []string{}},
	}
	if got := s.Inputs(); !reflect.DeepEqual(got, inputs) {
		t.Errorf("inputs %+v, want %+v", got, inputs)
	}
	overridable := []Info{{Name: "w", Kind: KindTensor, Type: tensor.Float32, Shape: []int64{2}, Dims: []string{""}}}
	if got := s.Overridable(); !reflect.DeepEqual(got, overridable) {
		t.Errorf("overridable inputs %+v, want %+v", got, overridable)
	}
	outputs := s.Outputs()
	if len(outputs) != 3 || outputs[0].Name != "x2" || outputs[1].Kind != KindSequence || outputs[1].Name != "s" {
		t.Errorf("outputs %+v", outputs)
	}
	if got, want := s.Inputs()[0].String(), `"x" float16[batch,3,?]`; got != want {
		t.Errorf("description %s, want %s", got, want)
	}

	x := map[string]tensor.Dense{"x": tensor.New(tensor.Float16, 1, 3, 1), "scalar": tensor.FromInt64(nil, []int64{2})}
	if _, err := s.Run(context.Background(), x, nil); err == nil || !strings.Contains(err.Error(), `"s" sequence`) {
		t.Errorf("run with a sequence among the outputs: error %v", err)
	}
	for _, w := range []tensor.Dense{{}, tensor.FromFloat32([]int{2}, []float32{5, 6})} {
		want := random(1, 2).Data
		if w.Data != nil {
			x["w"], want = w, w.Data
		}
		r, err := s.Run(context.Background(), x, []string{"u"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Get(0); string(got.Data) != string(want) {
			t.Errorf("u = %v, want %v", got.Data, want)
		}
		r.Close()
	}
}

func TestUnranked(t *testing.T) {
	l := openLibrary(t)
	x, y := graph.NewValue("x", tensor.Float32, nil), graph.NewValue("y", tensor.Float32, nil)
	s := openSession(t, l, made(values(x), values(y), nil, node("Neg", []string{"x"}, "y")), Options{})
	if info := s.Inputs()[0]; !info.Unranked || info.String() != `"x" float32 of any rank` {
		t.Errorf("input %+v (%v)", info, info)
	}
	for _, shape := range [][]int{{}, {3}, {2, 0}, {1, 2, 3}} {
		r, err := s.Run(context.Background(), map[string]tensor.Dense{"x": tensor.New(tensor.Float32, shape...)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Get(0).Shape; !reflect.DeepEqual(got, shape) {
			t.Errorf("shape %v, want %v", got, shape)
		}
		r.Close()
	}
}

func TestBadModels(t *testing.T) {
	l := openLibrary(t)
	whole := marshal(t, mlp())
	folder := t.TempDir()
	for _, c := range []struct {
		name  string
		model []byte
		o     Options
		want  string
	}{
		{"empty", nil, Options{}, "no bytes"},
		{"garbage", []byte(strings.Repeat("garbage", 100)), Options{}, "INVALID_PROTOBUF"},
		{"truncated", whole[:len(whole)/2], Options{}, "INVALID_PROTOBUF"},
		{"unknown operator", marshal(t, made(values(value("x", tensor.Float32, 1)), values(value("y", tensor.Float32, 1)), nil,
			node("NoSuchOperator", []string{"x"}, "y"))), Options{}, "NoSuchOperator"},
		{"no such level", whole, Options{Optimization: 99}, "no optimisation level 99"},
		{"dimension below one", whole, Options{FreeDimensions: map[string]int64{"batch": 0}}, `dimension "batch" is to be 0`},
		{"zero byte in a name", whole, Options{FreeDimensions: map[string]int64{"a\x00b": 1}}, "zero byte"},
		{"zero byte in a path", whole, Options{ProfilePrefix: "a\x00b"}, "turn profiling on"},
		{"unwritable model path", whole, Options{OptimizedModelPath: filepath.Join(folder, "none", "m.onnx")}, "load the model"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := l.NewSession(c.model, c.o)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
	_, err := l.NewSessionFile(filepath.Join(folder, "none.onnx"), Options{})
	var failure *Error
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "none.onnx") {
		t.Errorf("missing file: error %v", err)
	}
	if _, err := l.NewSessionFile(filepath.Join(folder, "none.onnx"), Options{ExternalFolder: folder}); err == nil || !strings.Contains(err.Error(), "ExternalFolder") {
		t.Errorf("file with ExternalFolder: error %v", err)
	}
}

func TestFreeDimensions(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, mlp(), Options{FreeDimensions: map[string]int64{"batch": 4, "no such": 5}})
	if got, want := s.Inputs()[0].Shape, []int64{4, 64}; !reflect.DeepEqual(got, want) {
		t.Errorf("input shape %v, want %v", got, want)
	}
	r, err := s.Run(context.Background(), map[string]tensor.Dense{"x": random(3, 4, 64)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if r, err := s.Run(context.Background(), map[string]tensor.Dense{"x": random(3, 5, 64)}, nil); err == nil {
		r.Close()
		t.Error("a batch of 5 was taken where 4 is fixed")
	}
}

// externalModel returns a model that takes its weight from the file w.data, and
// the file's content.
func externalModel(t *testing.T) (model, data []byte) {
	w := random(7, 64, 8)
	return marshal(t, made(
		values(value("x", tensor.Float32, 1, 64)), values(value("y", tensor.Float32, 1, 8)),
		[]onnxio.Tensor{onnxio.ExternalTensor("w", tensor.Float32, []int{64, 8}, "w.data", 0, 2048)},
		node("MatMul", []string{"x", "w"}, "y"),
	)), w.Data
}

func TestExternalData(t *testing.T) {
	l := openLibrary(t)
	model, data := externalModel(t)
	folder := filepath.Join(t.TempDir(), "Gewichte für ü")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "m.onnx")
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "w.data"), data, 0o644), os.WriteFile(path, model, 0o644)); err != nil {
		t.Fatal(err)
	}
	inside := openSession(t, l, made(
		values(value("x", tensor.Float32, 1, 64)), values(value("y", tensor.Float32, 1, 8)),
		[]onnxio.Tensor{constant("w", random(7, 64, 8))}, node("MatMul", []string{"x", "w"}, "y"),
	), Options{})
	x := map[string]tensor.Dense{"x": random(8, 1, 64)}
	want := runOne(t, inside, x)

	fromBytes, err := l.NewSession(model, Options{ExternalFolder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer fromBytes.Close()
	fromFile, err := l.NewSessionFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fromFile.Close()
	for name, s := range map[string]*Session{"bytes": fromBytes, "file": fromFile} {
		if got := runOne(t, s, x); got != want {
			t.Errorf("from %s: the output differs from that of the same weight inside the model", name)
		}
	}
	if s, err := l.NewSession(model, Options{ExternalFolder: t.TempDir()}); err == nil {
		s.Close()
		t.Error("no error where the folder has no data")
	}
}

// runOne returns the bytes of a session's first output.
func runOne(t *testing.T, s *Session, inputs map[string]tensor.Dense) string {
	t.Helper()
	r, err := s.Run(context.Background(), inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return string(r.Get(0).Data)
}

func TestProfiling(t *testing.T) {
	l := openLibrary(t)
	prefix := filepath.Join(t.TempDir(), "profile")
	s := openSession(t, l, mlp(), Options{ProfilePrefix: prefix})
	runOne(t, s, map[string]tensor.Dense{"x": random(3, 1, 64)})
	path, err := s.EndProfiling()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(path, prefix) {
		t.Errorf("path %q does not start with %q", path, prefix)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Cat  string         `json:"cat"`
		Args map[string]any `json:"args"`
	}
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatal(err)
	}
	matmuls := 0
	for _, e := range events {
		if e.Cat == "Node" && e.Args["op_name"] == "MatMul" {
			matmuls++
		}
	}
	if matmuls != 2 {
		t.Errorf("the profile has %d MatMul events, want 2", matmuls)
	}
	plain := openSession(t, l, mlp(), Options{})
	if _, err := plain.EndProfiling(); err == nil || !strings.Contains(err.Error(), "ProfilePrefix") {
		t.Errorf("without profiling: error %v", err)
	}
}

// TestOptimizedModel folds a constant addition into one constant at the basic
// level, and not without optimisation.
func TestOptimizedModel(t *testing.T) {
	l := openLibrary(t)
	g := made(
		values(value("x", tensor.Float32, 2)), values(value("y", tensor.Float32, 2)),
		[]onnxio.Tensor{constant("a", random(1, 2)), constant("b", random(2, 2))},
		node("Add", []string{"a", "b"}, "ab"), node("Add", []string{"x", "ab"}, "y"),
	)
	for _, c := range []struct {
		level Level
		nodes int
	}{{OptimizeNone, 2}, {OptimizeBasic, 1}, {OptimizeExtended, 1}, {OptimizeAll, 1}} {
		path := filepath.Join(t.TempDir(), "optimized.onnx")
		openSession(t, l, g, Options{Optimization: c.level, OptimizedModelPath: path})
		m, err := onnxio.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		got := len(graph.Of(m).Nodes())
		if err := m.Close(); err != nil || got != c.nodes {
			t.Errorf("level %d leaves %d nodes, want %d", c.level, got, c.nodes)
		}
	}
}
