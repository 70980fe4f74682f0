package ordered

// Tree brings what leaves have together along a fixed binary tree, in which every node has two leaves or two nodes of half its size:
// leaves 0 and 1, then 2 and 3, then both pairs. So a sum is the same to the last bit whoever has added up which nodes, as long as each
// was added up whole. The zero value has nothing.
type Tree[T any] struct{ nodes []Node[T] }

// Node is what the leaves from Index<<Level (included) to (Index+1)<<Level (excluded) have together.
type Node[T any] struct {
	Level, Index int
	Value        T
}

// First is the number of its first leaf, and Leaves how many it has.
func (n Node[T]) First() int { return n.Index << n.Level }

// Leaves is the number of leaves below it.
func (n Node[T]) Leaves() int { return 1 << n.Level }

// Put takes in the node behind those that are there, and joins what has become whole; a lies before b.
func (t *Tree[T]) Put(n Node[T], join func(a, b T) (T, error)) error {
	for len(t.nodes) > 0 {
		last := t.nodes[len(t.nodes)-1]
		if last.Level != n.Level || n.Index != last.Index+1 || n.Index%2 == 0 {
			break
		}
		both, err := join(last.Value, n.Value)
		if err != nil {
			return err
		}
		n = Node[T]{n.Level + 1, n.Index / 2, both}
		t.nodes = t.nodes[:len(t.nodes)-1]
	}
	t.nodes = append(t.nodes, n)
	return nil
}

// Nodes are the largest whole nodes there are, in order.
func (t *Tree[T]) Nodes() []Node[T] { return t.nodes }

// Root is what all leaves have together: the nodes that lack leaves behind the last one end there. The tree is empty then; of an
// empty one it is false.
func (t *Tree[T]) Root(join func(a, b T) (T, error)) (root T, ok bool, err error) {
	for i := len(t.nodes) - 1; i >= 0; i-- {
		if !ok {
			root, ok = t.nodes[i].Value, true
		} else if root, err = join(t.nodes[i].Value, root); err != nil {
			return root, false, err
		}
	}
	t.nodes = nil
	return root, ok, nil
}
