package channel

import "github.com/parley-messaging/parley/message"

// A Level says how well a channel carries one kind of content.
type Level string

// The levels.
const (
	Full    Level = "full"    // as given
	Partial Level = "partial" // adapted, the meaning is kept
	Dropped Level = "dropped" // left out, with a warning
	No      Level = "refused" // a message that needs it cannot go out here
)

// Capabilities say, as data, what a channel can show. Zero limits mean "none".
type Capabilities struct {
	Text      Ability
	Header    Ability
	Footer    Ability
	Media     map[message.MediaType]MediaAbility
	Replies   Ability // reply buttons
	Links     Ability // URL buttons
	Dial      Ability // call buttons
	List      Ability
	Location  Ability
	Cards     Ability
	Reaction  Ability
	ReplyTo   Ability
	Request   Ability // ask for a location
	Templates Ability

	MediaMax int   // attachments of one message; 0 = 1
	Series   int   // provider messages that one with several attachments may become, see Series; 0 = 1
	Mixed    bool  // reply, link and dial buttons may stand together
	Marks    Level // *bold* and _italic_ marks: Dropped = taken out of texts; else left alone
}

// ability gives what the channel can do with one kind of button.
func (c *Capabilities) ability(t message.ActionType) Ability {
	switch t {
	case message.Reply:
		return c.Replies
	case message.URL:
		return c.Links
	}
	return c.Dial
}

// An Ability is a level with its limits.
type Ability struct {
	Level  Level
	Max    int    // characters, buttons or rows
	Title  int    // characters of a title
	Note   string // source and date of the limit
	Source string

	Text    int                 // characters of the text beside it; 0 = as Text.Max
	Detail  int                 // characters of a row's description or a section's title
	Payload int                 // characters of a payload
	Media   []message.MediaType // attachments that can stand beside it
	Bare    Level               // level when no button or list stands beside it; "" = Level
}

// A MediaAbility is what a channel takes of one media type.
type MediaAbility struct {
	Level   Level
	Bytes   int64 // largest file
	MIME    []string
	Caption int // characters
	Note    string
	Source  string // page and date of the limits
}
