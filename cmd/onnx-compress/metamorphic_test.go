package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// The same work gives the same bytes, however it is done: with any number of threads and any memory, with statistics
// collected, written or read, with its flags in any order; and a plan followed gives the model that it was saved from.
func TestMetamorphic(t *testing.T) {
	t.Setenv(provision.ONNXRuntime.Env(), provisiontest.Need(t, provision.ONNXRuntime))
	for _, c := range []struct {
		name    string
		model   func(b *testmodels.Builder)
		samples []int
		args    []string
	}{
		{"image", imageNet, []int{40, 3, 10, 10}, []string{"--target params=0.7", "--methods svd,spatial,tucker2"}},
		{"image without refit", imageNet, []int{33, 3, 10, 10}, []string{"--target macs=0.7", "--no-refit", "--search lagrange"}},
		{"sequence", sequenceNet, []int{40, 7, 12}, []string{"--target params=0.7", "--target macs=0.9"}},
		{"data-free", sequenceNet, nil, []string{"--target params=0.5", "--accept-damage"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			b := testmodels.NewBuilder(5, 17, 8)
			c.model(b)
			source := testkit.Save(t, testkit.Built(t, b))
			args := append([]string{"-q", "--seed 7"}, c.args...)
			if c.samples != nil {
				data := filepath.Join(folder, "samples.npy")
				writeNormal(t, data, c.samples)
				args = append(args, "--calib "+data, "--calib-samples 24", "--verify-samples 8", "--batch 5")
			}
			out := filepath.Join(folder, "out.onnx") // one name, since the record of where things lie is among the bytes
			plan := filepath.Join(folder, "plan.json")
			want := outputBytes(t, out, append(args, source, "-o "+out, "--plan "+plan))
			for seed := range uint64(5) {
				random := rand.New(rand.NewPCG(seed, 9))
				vary := append(slices.Clone(args), source, "-o "+out, "--force", fmt.Sprint("--threads ", 1+random.IntN(5)))
				memory := []int{48, 256, 2048}[random.IntN(3)] // less leaves sites out, and so is in the record
				vary = append(vary, fmt.Sprintf("--memory %dMiB", memory))
				if c.samples != nil && seed > 0 {
					vary = append(vary, "--stats "+filepath.Join(folder, "s.stats")) // written by the first that has it, read by the others
				}
				random.Shuffle(len(vary), func(i, j int) { vary[i], vary[j] = vary[j], vary[i] })
				if got := outputBytes(t, out, vary); memory == 2048 && !bytes.Equal(got, want) {
					t.Errorf("other bytes: %s", strings.Join(vary, " "))
				}
				holdEqual(t, out, want)
			}
			followed := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "--methods") })
			outputBytes(t, out, append(followed, source, "-o "+out, "--force", "--from-plan "+plan))
			holdEqual(t, out, want)
		})
	}
}

// outputBytes runs the program on arguments, each a flag with its value, and returns what it writes to out. It runs in a process of
// its own: what other tests have left in this one could be more than the memory that it is to do with.
func outputBytes(t *testing.T, out string, args []string) []byte {
	t.Helper()
	words := []string{"compress"}
	for _, a := range args {
		words = append(words, strings.SplitN(a, " ", 2)...)
	}
	program := exec.Command(os.Args[0], words...)
	program.Args[0] = "onnx-compress"
	if said, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, said)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// holdEqual holds a model against the bytes of another, but for the records of what they were made from.
func holdEqual(t *testing.T, path string, want []byte) {
	t.Helper()
	a, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := onnxio.Parse(want, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	plainA, plainB := onnxio.WithMetadata(a, provenance.Prefix, nil), onnxio.WithMetadata(b, provenance.Prefix, nil)
	defer plainA.Close()
	defer plainB.Close()
	if same, first := onnxio.Equal(plainA, plainB); !same {
		t.Errorf("another model: %s", first)
	}
}

// writeNormal writes standard normal numbers.
func writeNormal(t *testing.T, path string, shape []int) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	out := []byte(npyHead(shape...))
	for range tensor.Product(shape) {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(random.NormFloat64())))
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		t.Fatal(err)
	}
}

func imageNet(b *testmodels.Builder) {
	x := b.Input("x", tensor.Float32, "N", 3, 10, 10)
	x = b.Node("Relu", []string{b.Conv(x, 3, 16, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	y := b.Node("Relu", []string{b.Conv(x, 16, 16, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	x = b.Node("Add", []string{x, y})
	x = b.Node("Relu", []string{b.Conv(x, 16, 32, []int{1, 1})})
	x = b.Node("Flatten", []string{b.Node("GlobalAveragePool", []string{x})})
	b.Linear(x, 32, 10, true)
	b.Output(b.Rename("y"), tensor.Float32, "N", 10)
}

func sequenceNet(b *testmodels.Builder) {
	x := b.Input("x", tensor.Float32, "N", 7, 12)
	q, k := b.Linear(x, 12, 12, true), b.Linear(x, 12, 12, false)
	s := b.Node("MatMul", []string{q, b.Node("Transpose", []string{k}, graph.Ints("perm", 0, 2, 1))})
	v := b.Node("MatMul", []string{b.Node("Softmax", []string{s}), b.Linear(x, 12, 12, true)})
	b.Linear(b.Node("Tanh", []string{v}), 12, 20, true)
	b.Output(b.Rename("y"), tensor.Float32, "N", 7, 20)
}
