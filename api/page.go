package api

import (
	"encoding"
	"errors"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A Page is one page of a list.
type Page[T any] struct {
	Data []*T   `json:"data"`
	Next string `json:"next" doc:"Give it as after to get the next page; empty on the last."`
}

// page turns rows into a page. One more row than limit was asked for: it says
// that there is a next page.
func page[R, T any](rows []R, limit int, show func(R) *T, cursor func(*T) string) *Page[T] {
	out := &Page[T]{Data: make([]*T, 0, min(len(rows), limit))}
	for _, row := range rows[:min(len(rows), limit)] {
		out.Data = append(out.Data, show(row))
	}
	if len(rows) > limit && len(out.Data) > 0 {
		out.Next = cursor(out.Data[len(out.Data)-1])
	}
	return out
}

type textID interface {
	comparable
	encoding.TextMarshaler
}

// pathID reads an id of the path. What is no id names nothing: a 404.
func pathID[T textID](s string) (T, error) {
	id, err := readID[T](s)
	if err != nil || id == *new(T) {
		return id, store.ErrNotFound
	}
	return id, nil
}

// queryID reads an id of the query; "" is the zero id.
func queryID[T textID](field, s string) (T, error) {
	id, err := readID[T](s)
	if err != nil {
		detail := "is not a valid id"
		if errors.Is(err, message.ErrBadID) {
			detail = err.Error() // names the prefix only
		}
		return id, problem(engine.CodeInvalid, field, detail, "")
	}
	return id, nil
}

func readID[T textID](s string) (T, error) {
	var id T
	err := any(&id).(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	return id, err
}
