package compress

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/verify"
)

// matching are the files of a folder that match a pattern.
func matching(t *testing.T, folder, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// refitsOf are the refits of which a folder has files.
func refitsOf(t *testing.T, folder string) []string {
	t.Helper()
	seen := map[string]bool{}
	for _, path := range matching(t, folder, "refit-*.ocr") {
		name := filepath.Base(path)
		seen[name[:strings.LastIndex(name, "-")]] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// TestRefitCheckpoints: a run that is broken off in its refit, at one site after the other, goes on behind the sites that were solved, to the
// same bytes; and files that are damaged, of another version of the format, or of none are not gone on from.
func TestRefitCheckpoints(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := to(t, Options{Source: images(60), CalibSamples: 24, VerifySamples: 8, Methods: []string{"svd"}, Targets: []Target{half(MACs)}, Batch: 2})
	first, want := runTo(t, m, o)
	o.Checkpoint = filepath.Join(t.TempDir(), "kept")
	files := 0
	for share := 0.2; share < 1; share += 0.2 {
		ctx, cancel := context.WithCancel(t.Context())
		o.Output = out(t)
		_, err := Run(ctx, in(t, told(func(stage string, done, total int) {
			if stage == "refit" && total > 0 && float64(done) >= share*float64(total) {
				cancel()
			}
		})), m, o)
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("at %.0f %% of the refit: %v", 100*share, err)
		}
		now := len(matching(t, o.Checkpoint, "refit-*.ocr"))
		if now < files {
			t.Errorf("at %.0f %% of the refit there are %d files of it, after %d", 100*share, now, files)
		}
		files = now
	}
	if files < 2 {
		t.Fatalf("%d files of outcomes after all breaks", files)
	}
	again := func(name string) *Result {
		t.Helper()
		o.Output = out(t)
		r, got := runTo(t, m, o)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes", name)
		}
		if !reflect.DeepEqual(r.Refit, first.Refit) || !reflect.DeepEqual(r.Sites, first.Sites) {
			t.Errorf("%s: the refit is %+v, want %+v", name, r.Refit, first.Refit)
		}
		return r
	}
	again("after all breaks")
	again("when all is there")
	list := matching(t, o.Checkpoint, "refit-*.ocr")
	for name, damage := range map[string]func([]byte) []byte{
		"damaged": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut off": func(b []byte) []byte { return b[:len(b)-40] },
		"newer":   func(b []byte) []byte { b[len(refitMagic)-1]++; return b },
	} {
		data, err := os.ReadFile(list[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(list[0], damage(bytes.Clone(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		again(name)
		if now, err := os.ReadFile(list[0]); err != nil || bytes.Equal(now, damage(bytes.Clone(data))) {
			t.Errorf("%s: it is left as it was, %v", name, err)
		}
	}
	if err := os.WriteFile(list[0], []byte("a poem"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Output = out(t)
	_, err := Run(t.Context(), in(t), m, o)
	if bad := (*UsageError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), filepath.Base(list[0])+" is there, and nothing that this would have written") {
		t.Errorf("of a poem: %v", err)
	}
}

// TestCheckpointsOfParts: a run that takes what parts have found is broken off in its refit and goes on behind the sites that were solved, to the
// bytes of one without parts or checkpoints; of the parts it keeps nothing.
func TestCheckpointsOfParts(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := to(t, Options{Source: images(60), CalibSamples: 24, VerifySamples: 8, Methods: []string{"svd"}, Targets: []Target{half(MACs)}, Batch: 2})
	first, want := runTo(t, m, o)
	with := to(t, inParts(t, m, o.Options, 2))
	with.Checkpoint = filepath.Join(t.TempDir(), "kept")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, in(t, told(func(stage string, done, total int) {
		if stage == "refit" && total > 0 && 2*done >= total {
			cancel()
		}
	})), m, with)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("in the middle of the refit: %v", err)
	}
	if solved := matching(t, with.Checkpoint, "refit-*.ocr"); len(solved) == 0 {
		t.Error("nothing of the refit is kept")
	}
	if more := append(matching(t, with.Checkpoint, "*.ocs"), matching(t, with.Checkpoint, "*.oco")...); len(more) > 0 {
		t.Errorf("what the parts have is kept again: %v", more)
	}
	r, got := runTo(t, m, with)
	if !bytes.Equal(got, want) || !reflect.DeepEqual(r.Refit, first.Refit) {
		t.Errorf("other bytes, or another refit: %+v, want %+v", r.Refit, first.Refit)
	}
}

// TestGoalCheckpoints: a search for a goal that is broken off in one of its attempts judges and refits none of those again that were done,
// and ends in the same bytes with the same account of all attempts.
func TestGoalCheckpoints(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := to(t, Options{Source: images(60), CalibSamples: 24, VerifySamples: 8, Methods: []string{"svd"}, Goals: []verify.Bound{{Measure: verify.Cosine, Value: 0.995}}, Batch: 2})
	first, want := runTo(t, m, o)
	o.Checkpoint = filepath.Join(t.TempDir(), "kept")
	attempts := len(first.Trials.Steps)
	for n := 2; n <= attempts+1; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		o.Output = out(t)
		r, err := Run(ctx, in(t, told(func(stage string, at, total int) {
			name, turn, _ := strings.Cut(stage, " (attempt ")
			number, _, _ := strings.Cut(turn, " ")
			attempt, err := strconv.Atoi(number)
			if err != nil {
				return
			}
			if attempt < n-1 && at > 0 && slices.Contains([]string{"judge", "refit", "correct"}, name) {
				t.Errorf("%s is done again in run %d", stage, n)
			}
			if attempt == n {
				cancel()
			}
		})), m, o)
		cancel()
		if n <= attempts {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("run %d: %v", n, err)
			}
			if list := refitsOf(t, o.Checkpoint); len(list) > 1 {
				t.Errorf("run %d leaves the refits %v: only the best attempt's are still read", n, list)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(o.Output); err != nil || !bytes.Equal(got, want) {
			t.Errorf("other bytes, %v", err)
		}
		if !reflect.DeepEqual(r.Trials, first.Trials) {
			t.Errorf("the attempts are %+v, want %+v", r.Trials, first.Trials)
		}
	}
	if list := refitsOf(t, o.Checkpoint); len(list) != 1 {
		t.Errorf("the refits %v are left, want the best attempt's", list)
	}
	if attempts < 3 {
		t.Errorf("%d attempts say little", attempts)
	}
}
