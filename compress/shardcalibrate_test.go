package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
)

// TestPartsReadTheirOwn: a part of a calibration reads its own samples and the few that all read; what parts make is of the key that one
// command has; a part that is there is made again where one of its samples has become another.
func TestPartsReadTheirOwn(t *testing.T) {
	needRuntime(t)
	const all, of = 32, 4
	ctx, env, m, folder := context.Background(), in(t), zoo(t, "cnn"), t.TempDir()
	o := quick(Options{Source: images(40), CalibSamples: all, Batch: 2, Probes: 1, Methods: []string{"svd"}, Targets: []Target{half(MACs)}})
	var paths []string
	calibrate := func(o Options, k int, to string) (done Sharded, reads int64) {
		t.Helper()
		var n atomic.Int64
		o.Source = counted{o.Source, &n}
		done, err := CalibratePart(ctx, env, m, o, ShardPart{k, of}, to)
		if err != nil {
			t.Fatal(err)
		}
		return done, n.Load()
	}
	for k := 1; k <= of; k++ {
		path := filepath.Join(folder, fmt.Sprint(k))
		done, reads := calibrate(o, k, path)
		if most := int64(all/of + firstSamples + 4); reads > most || done.Found {
			t.Errorf("part %d reads %d samples, at most %d are its own and those of all", k, reads, most)
		}
		paths = append(paths, path)
	}
	o.Stats = filepath.Join(folder, "stats")
	if _, err := MergeParts(ctx, env, paths, o.Stats); err != nil {
		t.Fatal(err)
	}
	if r, _ := run(t, m, o); !r.Calibration.Cached {
		t.Error("one command does not take the statistics for its own")
	}

	a, err := Analyse(ctx, m, o)
	if err != nil {
		t.Fatal(err)
	}
	other := func(place int) Options {
		o := o
		src := images(40)
		src[a.Calibrate[place]].Inputs["image"].Float32s()[3]++
		o.Source = src
		return o
	}
	before, err := os.ReadFile(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	if done, _ := calibrate(o, 2, paths[1]); !done.Found {
		t.Error("a part that is there is made again")
	}
	if done, _ := calibrate(other(all/of+1), 2, paths[1]); done.Found {
		t.Error("a part that is there is not made again though one of its samples is another")
	}
	// One that no other part reads makes statistics of other samples, which one command refuses.
	o.Stats = filepath.Join(folder, "mixed")
	if _, err := MergeParts(ctx, env, paths, o.Stats); err != nil {
		t.Fatal(err)
	}
	_, _, err = Compress(ctx, env, m, o)
	testkit.WantError(t, err, "another calibration", "its samples is")
	if err := os.WriteFile(paths[1], before, 0o644); err != nil {
		t.Fatal(err)
	}

	// Samples that several parts read tell parts apart.
	for _, c := range []struct {
		place int
		want  string
	}{{0, "its first sample is"}, {all - 1, fmt.Sprintf("sample %d of the %d that calibrate is another", all, all)}} {
		path := filepath.Join(folder, "other")
		calibrate(other(c.place), 2, path)
		_, err := MergeParts(ctx, env, []string{paths[0], path, paths[2], paths[3]}, filepath.Join(folder, "never"))
		testkit.WantError(t, err, path, c.want)
		if !errors.As(err, new(*UsageError)) {
			t.Errorf("%v is no error of usage", err)
		}
	}

	// So do files of an older format, and damaged notes.
	for want, change := range map[string]func([]byte) []byte{
		"of version 1 of the format":       func(b []byte) []byte { b[len(partMagic)-1] = 1; return b },
		"which samples it has is not what": func(b []byte) []byte { b[bytes.Index(b, []byte("onnx-compress.sums"))-40] ^= 1; return b },
		"before it says which samples":     func(b []byte) []byte { return b[:bytes.Index(b, []byte("onnx-compress.sums"))-40] },
	} {
		path := filepath.Join(folder, "spoiled")
		if err := os.WriteFile(path, change(bytes.Clone(before)), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := MergeParts(ctx, env, []string{paths[0], path, paths[2], paths[3]}, filepath.Join(folder, "never"))
		testkit.WantError(t, err, path, want)
	}
}

// FuzzPartNotes reads what files say of the samples of a part.
func FuzzPartNotes(f *testing.F) {
	path := filepath.Join(f.TempDir(), "notes")
	to, err := writeSealed(path, nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := (partNotes{1: samples.Sum{2}, 0: samples.Sum{3}}).write(to); err != nil {
		f.Fatal(err)
	}
	if err := to.commit(context.Background()); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, 2)
	f.Add(whole[:40], 2)
	f.Add([]byte{255, 255, 255, 255}, 1<<30)
	f.Fuzz(func(t *testing.T, data []byte, of int) {
		notes, end, err := readNotes(bytes.NewReader(data), 0, int64(len(data)), of)
		if err == nil && (end > int64(len(data)) || len(notes) > of) {
			t.Errorf("%d notes of %d samples, up to byte %d of %d", len(notes), of, end, len(data))
		}
	})
}
