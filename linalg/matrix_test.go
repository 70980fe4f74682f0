package linalg

import (
	"slices"
	"testing"
)

// TestSome: rows and columns are taken in the order asked for, all rows for nil.
func TestSome(t *testing.T) {
	m := &Matrix{Rows: 2, Cols: 3, Data: []float64{1, 2, 3, 4, 5, 6}}
	for _, c := range []struct {
		rows, columns []int
		want          []float64
	}{
		{nil, []int{0, 2}, []float64{1, 3, 4, 6}},
		{[]int{1}, []int{2, 1}, []float64{6, 5}},
		{[]int{}, []int{0}, []float64{}},
	} {
		got := m.Some(c.rows, c.columns)
		if got.Cols != len(c.columns) || !slices.Equal(got.Data, c.want) {
			t.Errorf("rows %v, columns %v: %v, want %v", c.rows, c.columns, got.Data, c.want)
		}
	}
}
