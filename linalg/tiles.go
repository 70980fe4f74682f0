package linalg

// Gonum's product of x and yᵀ runs along contiguous rows with vector instructions and is two to eight times
// as fast as its other three forms, as long as the rows in hand stay in cache. So every product here is
// cut into tiles of that form: a transposed operand is copied, tile by tile, into rows.
const (
	tileRows = 64 // gonum runs a product of one 64×64 block on the calling goroutine
	// tileDepth keeps two tiles in a second-level cache. It is no power of two, so that the rows of a
	// copied tile do not all fall on the same cache lines.
	tileDepth = 1000
)

// panels hands out tiles of a row-major operand as rows that run along the summed index: of the operand
// itself, or of its transpose when trans is set.
type panels[T float32 | float64] struct {
	data   []T
	stride int
	trans  bool
}

// space returns room for one tile, when tiles must be copied at all.
func (p panels[T]) space(rows, depth int) []T {
	if !p.trans {
		return nil
	}
	return make([]T, min(rows, tileRows)*min(depth, tileDepth))
}

// tile returns rows i to i+rows, summed index from l to l+depth, and the stride between them. The tile of a
// transposed operand is copied into space.
func (p panels[T]) tile(space []T, i, rows, l, depth int) ([]T, int) {
	if !p.trans {
		start := i*p.stride + l
		return p.data[start : start+(rows-1)*p.stride+depth], p.stride
	}
	for k := range depth {
		for r, v := range p.data[(l+k)*p.stride+i : (l+k)*p.stride+i+rows] {
			space[r*depth+k] = v
		}
	}
	return space[:rows*depth], depth
}

// tiles visits the tiles of an m×n sum over k products in a fixed order, those below the diagonal left out
// when upper is set. visit adds the product of tile x and the transpose of tile y at (i, j).
func tiles[T float32 | float64](m, n, k int, upper bool, x, y panels[T], visit func(i, j, rows, cols, depth int, x, y []T, ldx, ldy int)) {
	spaceX, spaceY := x.space(m, k), y.space(n, k)
	for l := 0; l < k; l += tileDepth {
		depth := min(tileDepth, k-l)
		for i := 0; i < m; i += tileRows {
			rows := min(tileRows, m-i)
			tx, ldx := x.tile(spaceX, i, rows, l, depth)
			first := 0
			if upper {
				first = i
			}
			for j := first; j < n; j += tileRows {
				cols := min(tileRows, n-j)
				ty, ldy := y.tile(spaceY, j, cols, l, depth)
				visit(i, j, rows, cols, depth, tx, ty, ldx, ldy)
			}
		}
	}
}
