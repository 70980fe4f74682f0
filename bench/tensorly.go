//go:build unix

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// tensorlyThreads is how many threads each side may use in total: those of its BLAS for TensorLy, layers side by side,
// each on one thread, here.
const tensorlyThreads = 2

// eigenOrder is the order of the symmetric matrix whose eigen-decomposition is timed.
const eigenOrder = 1536

// resnet18Shapes are ResNet-18's convolutions of more than one tap.
func resnet18Shapes() []decomp.Shape {
	var out []decomp.Shape
	add := func(n, o, c, k int) {
		for range n {
			out = append(out, decomp.Shape{Out: o, In: c, Window: []int{k, k}, Groups: 1})
		}
	}
	add(1, 64, 3, 7)
	add(4, 64, 64, 3)
	for _, c := range []int{64, 128, 256} {
		add(1, 2*c, c, 3)
		add(3, 2*c, 2*c, 3)
	}
	return out
}

// peerJob is one decomposition that both sides do.
type peerJob struct {
	Scheme string `json:"scheme"`
	File   string `json:"file"`
	Shape  []int  `json:"shape"`
	Rank   []int  `json:"rank"`

	kernel decomp.Kernel
}

// peerResult is what came of a job.
type peerResult struct {
	Seconds float64 `json:"seconds"`
	Error   float64 `json:"error"` // relative, in the Frobenius norm
}

// tensorly compares tucker2, cp and tt with TensorLy, and the eigen-decomposition with NumPy.
func (b *bench) tensorly() error {
	if err := b.needPython(); err != nil {
		return err
	}
	lib, _, err := provision.Find(provision.OpenBLAS, "")
	if err != nil {
		return err
	}
	blas, err := linalg.Open(lib.Path)
	if err != nil {
		return err
	}
	kernels, err := b.syntheticKernels(blas)
	if err != nil {
		return err
	}
	b.printf("The same float64 tensors of the shapes of ResNet-18's %d convolutions of several taps, random numbers from a fixed seed whose "+
		"spectra fall off along every mode (no trained ResNet-18 is among the data). Ranks: half the channels for tucker2 and the outer ranks "+
		"of tt, half the rank of the O×K matrix for cp. No metric. TensorLy on NumPy with %d threads, cp with 50 sweeps; here %d layers side by side, one thread "+
		"each. Both sides in one run, the seconds of the decompositions alone.\n\n", len(kernels), tensorlyThreads, tensorlyThreads)
	b.printf("```\npython bench/decompose.py jobs.json\n```\n\n| scheme | TensorLy, seconds | here, seconds | time ratio | largest error ratio | mean error, TensorLy | mean error, here |\n|---|---|---|---|---|---|---|\n")
	for _, scheme := range []string{"tucker2", "cp", "tt"} {
		if err := b.besideTensorly(blas, scheme, kernels); err != nil {
			return err
		}
	}
	return b.eigen(blas)
}

// besideTensorly runs one scheme on all kernels on both sides and prints its row.
func (b *bench) besideTensorly(blas linalg.Backend, scheme string, kernels []peerJob) error {
	var jobs []peerJob
	for _, k := range kernels {
		k.Scheme, k.Rank = scheme, halfRank(scheme, k.kernel.Shape)
		jobs = append(jobs, k)
	}
	theirs, err := b.peers(jobs, tensorlyThreads)
	if err != nil {
		return err
	}
	start := time.Now()
	ours, err := decomposed(blas, jobs)
	if err != nil {
		return err
	}
	seconds, total, worst := time.Since(start).Seconds(), 0.0, 0.0
	mean := [2]float64{}
	for i, p := range theirs {
		total += p.Seconds
		worst = max(worst, ours[i].Error/p.Error)
		mean[0] += p.Error / float64(len(jobs))
		mean[1] += ours[i].Error / float64(len(jobs))
	}
	b.printf("| %s | %.2f | %.2f | **%.3f** | **%.4f** | %.4f | %.4f |\n", scheme, total, seconds, seconds/total, worst, mean[0], mean[1])
	return nil
}

// halfRank is the rank at which a scheme is compared.
func halfRank(scheme string, s decomp.Shape) []int {
	in, out := max(1, s.In/2), s.Out/2
	switch scheme {
	case "tucker2":
		return []int{in, out}
	case "tt":
		middle := min((in+out)/2, in*s.Window[0])
		return []int{in, middle, min(out, middle*s.Window[1])}
	}
	return []int{s.FullRank() / 2}
}

// decomposed runs jobs side by side, the largest first, and returns their results in order.
func decomposed(blas linalg.Backend, jobs []peerJob) ([]peerResult, error) {
	results, failed := make([]peerResult, len(jobs)), make([]error, len(jobs))
	next := make(chan int)
	var workers sync.WaitGroup
	for range tensorlyThreads {
		workers.Go(func() {
			for i := range next {
				results[i], failed[i] = decompose(blas, jobs[i])
			}
		})
	}
	for i := range jobs {
		next <- len(jobs) - 1 - i // the shapes ascend
	}
	close(next)
	workers.Wait()
	return results, errors.Join(failed...)
}

// decompose runs one job and measures what its chain misses.
func decompose(blas linalg.Backend, j peerJob) (peerResult, error) {
	start := time.Now()
	var spectrum decomp.Spectrum
	for _, m := range decomp.Methods() {
		if m.Name != j.Scheme {
			continue
		}
		var err error
		if spectrum, err = m.Factor(blas, j.kernel, decomp.Metric{}); err != nil {
			return peerResult{}, err
		}
	}
	if spectrum == nil {
		return peerResult{}, fmt.Errorf("there is no method %s", j.Scheme)
	}
	if _, err := spectrum.Chain(j.Rank); err != nil {
		return peerResult{}, err
	}
	out := peerResult{Seconds: time.Since(start).Seconds()}
	loss, err := spectrum.Loss(j.Rank)
	out.Error = math.Sqrt(loss / spectrum.Energy())
	return out, err
}

// peers runs jobs in Python with a number of BLAS threads.
func (b *bench) peers(jobs []peerJob, threads int) ([]peerResult, error) {
	list, err := json.Marshal(jobs)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(b.work, "jobs.json")
	if err := os.WriteFile(path, list, 0o666); err != nil {
		return nil, err
	}
	cmd := b.script("decompose.py", path)
	cmd.Env = append(os.Environ(), fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", threads))
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var out []peerResult
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, err
	}
	if len(out) != len(jobs) {
		return nil, fmt.Errorf("bench/decompose.py gave %d results for %d jobs", len(out), len(jobs))
	}
	return out, nil
}

// syntheticKernels writes one kernel of each shape: a core of normal numbers that falls off along every mode, turned by
// a random matrix in every mode.
func (b *bench) syntheticKernels(blas linalg.Backend) ([]peerJob, error) {
	var jobs []peerJob
	for i, s := range resnet18Shapes() {
		random := rand.New(rand.NewPCG(18, uint64(i)))
		lengths := append([]int{s.Out, s.In}, s.Window...)
		x := linalg.New(1, int(s.Params()))
		for j := range x.Data {
			x.Data[j] = random.NormFloat64()
		}
		for _, n := range lengths { // each pass takes the first mode to the end
			x = turnedFirst(blas, random, x.Data, n)
		}
		j := peerJob{File: filepath.Join(b.work, fmt.Sprintf("kernel%d.bin", i)), Shape: lengths, kernel: decomp.Kernel{Shape: s, Weights: x.Data}}
		if err := writeNumbers(j.File, x.Data); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// turnedFirst multiplies the first mode, of length n, by a random matrix whose column j is scaled by 1/√(j+1), and moves
// it to the end.
func turnedFirst(blas linalg.Backend, random *rand.Rand, data []float64, n int) *linalg.Matrix {
	turn := linalg.New(n, n)
	for i := range n {
		for j := range n {
			turn.Set(i, j, random.NormFloat64()/math.Sqrt(float64(n*(j+1))))
		}
	}
	return blas.Mul(true, true, 1, &linalg.Matrix{Rows: n, Cols: len(data) / n, Data: data}, turn)
}

func writeNumbers(path string, numbers []float64) error {
	var out []byte
	for _, v := range numbers {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
	}
	return os.WriteFile(path, out, 0o666)
}

// eigen times the eigen-decomposition of one symmetric matrix.
func (b *bench) eigen(blas linalg.Backend) error {
	random := rand.New(rand.NewPCG(18, eigenOrder))
	x := linalg.New(eigenOrder, eigenOrder)
	for i := range x.Data {
		x.Data[i] = random.NormFloat64()
	}
	gram := blas.Mul(false, true, 1/float64(eigenOrder), x, x)
	job := peerJob{Scheme: "eigh", File: filepath.Join(b.work, "gram.bin"), Shape: []int{eigenOrder, eigenOrder}}
	if err := writeNumbers(job.File, gram.Data); err != nil {
		return err
	}
	var theirs, ours []float64
	for range max(3, b.runs) { // in turn, so that other work on the machine meets both
		peer, err := b.peers([]peerJob{job}, 1)
		if err != nil {
			return err
		}
		seconds, err := eigenSeconds(blas, gram)
		if err != nil {
			return err
		}
		theirs, ours = append(theirs, peer[0].Seconds), append(ours, seconds)
	}
	fallback, err := eigenSeconds(linalg.Gonum(), gram)
	if err != nil {
		return err
	}
	slices.Sort(theirs)
	slices.Sort(ours)
	half := len(ours) / 2
	b.printf("\nEigen-decomposition of a symmetric %d×%d matrix, one thread, medians of %d in turn: NumPy %.2f s, here with OpenBLAS %.2f s (**%.2f**), without it (gonum) %.1f s.\n",
		eigenOrder, eigenOrder, len(ours), theirs[half], ours[half], ours[half]/theirs[half], fallback)
	return nil
}

func eigenSeconds(backend linalg.Backend, m *linalg.Matrix) (float64, error) {
	start := time.Now()
	_, _, err := backend.SymEig(m)
	return time.Since(start).Seconds(), err
}
