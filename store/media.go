package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Media keeps files, in sealed chunks of bounded size so that every node and
// every backup sees them, and the links under which people open them.
type Media interface {
	// PutMedia makes a file without content. ErrExists when the id is taken;
	// ErrNotFound when its contact is not there or was erased.
	PutMedia(ctx context.Context, m *MediaFile) error
	// PutChunks appends or replaces sealed chunks of a file, the first of which
	// has number first. ErrNotFound when the file is gone.
	PutChunks(ctx context.Context, ws message.WorkspaceID, id message.MediaID, first int, chunks [][]byte) error
	// SetMedia replaces what is told of a file (type, MIME, size, state, tries,
	// next try, expiry, sealed facts) and logs events. ErrNotFound when it is
	// gone.
	SetMedia(ctx context.Context, m *MediaFile, events []Event) error
	// MediaFile reads what is told of a file. ErrNotFound.
	MediaFile(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (*MediaFile, error)
	// MediaList pages through the files of a contact, newest first; the zero
	// contact gives the brand's own.
	MediaList(ctx context.Context, ws message.WorkspaceID, contact message.ContactID, before message.MediaID, limit int) ([]*MediaFile, error)
	// Chunks reads sealed chunks in order, from number first on.
	Chunks(ctx context.Context, ws message.WorkspaceID, id message.MediaID, first, limit int) ([][]byte, error)
	// DeleteMedia deletes a file, its chunks and its copies at providers as we
	// know them. ErrNotFound.
	DeleteMedia(ctx context.Context, ws message.WorkspaceID, id message.MediaID) error
	// ClaimMedia takes files that wait to be fetched and whose next try is not
	// after now: it counts the try and puts the next one off until the given
	// time, so that one node at a time fetches a file.
	ClaimMedia(ctx context.Context, now, until time.Time, limit int) ([]*MediaFile, error)

	// PutCopy notes a provider's copy of a file; it replaces the one before.
	PutCopy(ctx context.Context, c *MediaCopy) error
	// MediaCopy reads a provider's copy. ErrNotFound.
	MediaCopy(ctx context.Context, ws message.WorkspaceID, id message.MediaID, connector message.ConnectorID) (*MediaCopy, error)

	// PutLink makes a link; one that is there keeps its count and gets the new
	// expiry.
	PutLink(ctx context.Context, l *Link) error
	// Link reads a link. ErrNotFound.
	Link(ctx context.Context, key [16]byte) (*Link, error)
	// OpenLink counts an opening. The events are logged the first time only.
	// ErrNotFound.
	OpenLink(ctx context.Context, key [16]byte, at time.Time, events []Event) (first bool, err error)
}

// A MediaState says how far a file is.
type MediaState uint8

// The states of a file.
const (
	MediaOpen    MediaState = iota + 1 // its content is on the way to us
	MediaWaiting                       // it is to be fetched from the provider
	MediaReady                         // all of it is here
	MediaLost                          // the provider does not give it to us
)

var mediaNames = [...]string{"", "open", "waiting", "ready", "lost"}

// String gives the word of the state.
func (s MediaState) String() string {
	if int(s) < len(mediaNames) {
		return mediaNames[s]
	}
	return "unknown"
}

// A MediaFile is a file without its content.
type MediaFile struct {
	ID        message.MediaID
	Workspace message.WorkspaceID
	Contact   message.ContactID   // whose key seals it; zero = the workspace's does
	Message   message.MessageID   // the message it came with; zero = uploaded
	Connector message.ConnectorID // where it is fetched; zero = uploaded
	Type      message.MediaType
	MIME      string
	Size      int64 // bytes in the clear; 0 while not known
	State     MediaState
	Tries     int
	NextAt    time.Time // of a file that waits: not before
	CreatedAt time.Time
	ExpiresAt time.Time // zero = kept until deleted
	Sealed    []byte    // JSON of name, fingerprint and the provider's id
}

// A MediaCopy is a file at a provider, for one connector account.
type MediaCopy struct {
	Workspace message.WorkspaceID
	Media     message.MediaID
	Connector message.ConnectorID
	ExpiresAt time.Time // the provider lets go of it
	Sealed    []byte    // the provider's id
}

// A Link opens a file for whoever has it.
type Link struct {
	Key       [16]byte // hash of the token in the address
	Workspace message.WorkspaceID
	Contact   message.ContactID // who it was sent to
	Message   message.MessageID // with which message
	Media     message.MediaID
	CreatedAt time.Time
	ExpiresAt time.Time
	OpenedAt  time.Time // the first time; zero = never
	Opens     int64
}
