package ort

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/ebitengine/purego"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// mallinfo2 is glibc's struct mallinfo2.
type mallinfo2 struct {
	Arena, Ordblks, Smblks, Hblks, Hblkhd, Usmblks, Fsmblks, Uordblks, Fordblks, Keepcost uintptr
}

// cHeap returns a function that returns how many bytes C has allocated and not
// freed. It skips the test where the C library does not tell.
func cHeap(t *testing.T) func() int {
	t.Helper()
	address, err := purego.Dlsym(purego.RTLD_DEFAULT, "mallinfo2")
	if err != nil {
		t.Skipf("the C library has no mallinfo2 to count the allocated memory with: %v", err)
	}
	var info func() mallinfo2
	purego.RegisterFunc(&info, address)
	return func() int {
		m := info()
		return int(m.Uordblks + m.Hblkhd)
	}
}

// residentKB returns the process's resident memory.
func residentKB(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() / 1024
}

// TestLeaks repeats each way through the binding, with each of its failures,
// and watches the process's memory.
func TestLeaks(t *testing.T) {
	heap := cHeap(t)
	const n = 1000
	const bound = 16 << 10 // less than n of the smallest blocks, 32 bytes
	l := openLibrary(t)
	model := marshal(t, mlp())
	s := openSession(t, l, mlp(), Options{})
	gather := openSession(t, l, failing(), Options{})
	x := map[string]tensor.Dense{"x": random(3, 100, 64)} // 100 KB of outputs
	inside := map[string]tensor.Dense{"i": tensor.FromInt64([]int{1}, []int64{1})}
	beyond := map[string]tensor.Dense{"i": tensor.FromInt64([]int{1}, []int64{9})}
	for _, c := range []struct {
		name string
		once func(context.Context) error
	}{
		{"runs", func(ctx context.Context) error {
			r, err := s.Run(ctx, x, nil)
			if err != nil {
				return err
			}
			r.Close()
			return nil
		}},
		{"small runs", func(ctx context.Context) error {
			r, err := gather.Run(ctx, inside, nil)
			if err != nil {
				return err
			}
			r.Close()
			return nil
		}},
		{"failing runs", func(ctx context.Context) error {
			if _, err := gather.Run(ctx, beyond, nil); err == nil {
				return errors.New("an index beyond the table was taken")
			}
			return nil
		}},
		{"sessions", func(ctx context.Context) error {
			s, err := l.NewSession(model, Options{})
			if err != nil {
				return err
			}
			s.Close()
			return nil
		}},
		{"libraries", func(context.Context) error {
			l, err := Open(l.Path())
			if err != nil {
				return err
			}
			l.Close()
			return nil
		}},
		{"failing sessions", func(ctx context.Context) error {
			if _, err := l.NewSession(model[:len(model)-100], Options{}); err == nil {
				return errors.New("a truncated model was taken")
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtime.LockOSThread() // each thread keeps some of the memory that C frees on it
			defer runtime.UnlockOSThread()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			repeat := func() (allocated, resident int) {
				for range n {
					if err := c.once(ctx); err != nil {
						t.Fatal(err)
					}
				}
				runtime.GC()
				return heap(), residentKB(t)
			}
			repeat() // fills the runtime's arena and Go's heap
			bytes, kb := repeat()
			grown := 0
			// What leaks does so in every round; other threads stir up a little now and then.
			for range 3 {
				bytes2, kb2 := repeat()
				t.Logf("C holds %d bytes, %d KB resident; after %d repetitions %d bytes, %d KB", bytes, kb, n, bytes2, kb2)
				if kb2-kb > 8<<10 {
					t.Errorf("the resident memory grew by %d KB in %d repetitions, want at most 8192", kb2-kb, n)
				}
				if grown = bytes2 - bytes; grown <= bound {
					return
				}
				bytes, kb = bytes2, kb2
			}
			t.Errorf("C's memory grew by %d bytes in %d repetitions, want at most %d", grown, n, bound)
		})
	}
}
