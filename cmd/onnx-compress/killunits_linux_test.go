package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/rss"
)

// TestKillsOfUnits kills units of a work in parts, and what merges them, at random moments: the file of each is not there or whole, the
// next try makes the same bytes, and nothing else is left. None has more memory resident than the scripts of scale ask for.
func TestKillsOfUnits(t *testing.T) {
	times := kills(t, 4)
	s := newShop(t, t.TempDir())
	at := func(name string) string { return filepath.Join(s.folder, name) }
	flags := []string{"--calib", s.data, "--target", "macs=0.7", "--methods", "svd", "--threads", "1", "--memory", "320MiB"}
	script, err := s.command(append([]string{"scale", "slurm", s.model, "--parts", "2"}, flags...)).Output()
	if err != nil {
		t.Fatal(err)
	}
	foretold := regexp.MustCompile(`--mem=([0-9]+)M .*--job-name=([a-z]+)`).FindAllStringSubmatch(string(script), -1)
	if len(foretold) != 4 {
		t.Fatalf("what memory jobs ask for is not in %s", script)
	}
	flags = append(flags, "-q")
	ask := func(out string, words ...string) []string {
		return append(append([]string{"shard"}, words...), "-o", at(out))
	}
	units := [][]string{
		append(ask("1.ocs", "calibrate", s.model, "--part", "1/2"), flags...),
		append(ask("2.ocs", "calibrate", s.model, "--part", "2/2"), flags...),
		append(ask("stats.ocs", "merge", at("1.ocs"), at("2.ocs")), "-q"),
		append(ask("1.oco", "factor", s.model, "--part", "1/2", "--stats", at("stats.ocs")), flags...),
	}
	names := []string{"1.ocs", "2.ocs", "stats.ocs", "1.oco"}
	want, took := make([][]byte, len(units)), make([]time.Duration, len(units))
	run := func(i int) []byte {
		begin := time.Now()
		resident, out, err := watched(s.command(units[i]))
		if err != nil {
			t.Fatalf("%q: %v: %s", units[i], err, out)
		}
		if resident == 0 {
			t.Fatalf("%q: nobody saw how much memory it has resident", units[i])
		}
		for _, f := range foretold {
			if most, _ := strconv.ParseInt(f[1], 10, 64); f[2] == units[i][1] && resident > most<<10 {
				t.Errorf("%s has up to %d KiB resident, foretold were %d", f[2], resident, most<<10)
			}
		}
		took[i] = max(took[i], time.Since(begin))
		data, err := os.ReadFile(at(names[i]))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for i := range units {
		want[i] = run(i)
	}
	random := rand.New(rand.NewPCG(uint64(times), 5))
	seen := map[string]int{}
	for n := range times {
		i := n % len(units)
		if err := os.Remove(at(names[i])); err != nil {
			t.Fatal(err)
		}
		c := s.command(units[i])
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Float64() * 1.2 * float64(took[i])))
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
		switch data, err := os.ReadFile(at(names[i])); {
		case errors.Is(err, fs.ErrNotExist):
			seen["not there"]++
		case err == nil && bytes.Equal(data, want[i]):
			seen["whole"]++
		default:
			t.Fatalf("kill %d: %s is neither whole nor not there: %v", n, names[i], err)
		}
		if !bytes.Equal(run(i), want[i]) {
			t.Fatalf("after kill %d %s has other bytes", n, names[i])
		}
		if left := strings.Join(s.list(s.folder), " "); left != "1.oco 1.ocs 2.ocs stats.ocs" {
			t.Fatalf("after kill %d the folder holds %s", n, left)
		}
	}
	t.Logf("%d kills: %v", times, seen)
}

// watched runs a command, and tells the most that it or a process of its own was seen to have resident at once, in KiB. What wait4(2) tells is not
// that: it begins with what this process has.
func watched(c *exec.Cmd) (resident int64, text string, err error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		return 0, "", err
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for {
		own, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.Process.Pid))
		pids := []int{c.Process.Pid}
		for _, path := range own {
			list, _ := os.ReadFile(path)
			for _, word := range strings.Fields(string(list)) {
				pid, _ := strconv.Atoi(word) // 0 is nobody
				pids = append(pids, pid)
			}
		}
		for _, pid := range pids {
			resident = max(resident, rss.PeakOf(pid)>>10)
		}
		select {
		case err := <-done:
			return resident, out.String(), err
		case <-time.After(2 * time.Millisecond):
		}
	}
}
