package testkit

import "fmt"

// Memory is a source of given samples; S is samples.Sample, which this package cannot name: the tests of calib use it too.
type Memory[S any] []S

// Len returns the number of samples.
func (m Memory[S]) Len() int { return len(m) }

// Sample returns a sample.
func (m Memory[S]) Sample(i int) (S, error) { return m[i], nil }

// Describe says how many samples there are.
func (m Memory[S]) Describe() string { return fmt.Sprintf("%d samples in memory", len(m)) }

// Count is the list 0, …, n-1.
func Count(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
