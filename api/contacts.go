package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// Contact is a person.
type Contact struct {
	ID         message.ContactID `json:"id"`
	Name       string            `json:"name,omitempty"`
	Language   string            `json:"language,omitempty" doc:"BCP 47."`
	Country    string            `json:"country,omitempty" doc:"ISO 3166-1 alpha-2."`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Identities []Identity        `json:"identities" doc:"The person's addresses."`
	CreatedAt  time.Time         `json:"created_at"`
	ErasedAt   *time.Time        `json:"erased_at,omitempty" doc:"When everything personal was destroyed."`
}

// Identity is one address of a person.
type Identity struct {
	ID        string          `json:"id" doc:"Names this identity of the contact; not the address."`
	Channel   message.Channel `json:"channel" doc:"phone for telephone numbers, else the channel that gave the address."`
	Scope     string          `json:"scope,omitempty" doc:"Business portfolio, page or app the address belongs to."`
	Address   string          `json:"address"`
	CreatedAt time.Time       `json:"created_at"`
}

// NewIdentity is an address to give to a contact.
type NewIdentity struct {
	Channel message.Channel `json:"channel" doc:"phone for telephone numbers." minLength:"1" maxLength:"40" example:"phone"`
	Scope   string          `json:"scope,omitempty" doc:"Business portfolio, page or app the address belongs to." maxLength:"200"`
	Address string          `json:"address" minLength:"1" maxLength:"512" example:"+33612345678"`
}

// ContactRequest is a contact as a client writes it.
type ContactRequest struct {
	Name       string            `json:"name,omitempty" maxLength:"500"`
	Language   string            `json:"language,omitempty" doc:"BCP 47." maxLength:"35"`
	Country    string            `json:"country,omitempty" doc:"ISO 3166-1 alpha-2." pattern:"^[A-Z]{2}$" patternDescription:"two capital letters"`
	Metadata   map[string]string `json:"metadata,omitempty" maxProperties:"50"`
	Identities []NewIdentity     `json:"identities" doc:"At least one address." minItems:"1" maxItems:"20"`
}

// ContactChange replaces what is noted about a person.
type ContactChange struct {
	Name     string            `json:"name,omitempty" maxLength:"500"`
	Language string            `json:"language,omitempty" doc:"BCP 47." maxLength:"35"`
	Country  string            `json:"country,omitempty" doc:"ISO 3166-1 alpha-2." pattern:"^[A-Z]{2}$" patternDescription:"two capital letters"`
	Metadata map[string]string `json:"metadata,omitempty" maxProperties:"50"`
}

type listContacts struct {
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"How many at most."`
	After string `query:"after" doc:"The next of the page before."`
	Phone string `query:"phone" doc:"Only the one with this number." maxLength:"64"`
}

type oneContact struct {
	ID string `path:"id" doc:"The contact's id." example:"ct_01jd8x0k3m5q7s9v1x3z5b7d9f"`
}

type createContact struct{ Body ContactRequest }

type changeContact struct {
	ID   string `path:"id" doc:"The contact's id." example:"ct_01jd8x0k3m5q7s9v1x3z5b7d9f"`
	Body ContactChange
}

type addIdentity struct {
	ID   string `path:"id" doc:"The contact's id." example:"ct_01jd8x0k3m5q7s9v1x3z5b7d9f"`
	Body NewIdentity
}

type oneIdentity struct {
	ID       string `path:"id" doc:"The contact's id." example:"ct_01jd8x0k3m5q7s9v1x3z5b7d9f"`
	Identity string `path:"identity" doc:"The identity's id."`
}

// Document is any JSON object: a receipt or an export.
type Document = json.RawMessage

func (s *Server) contacts() {
	handle(s, op{
		method: http.MethodPost, path: "/v1/contacts", id: "createContact", tag: "Contacts", summary: "Make a contact", scope: auth.ContactsWrite, status: 201,
		doc: "Contacts are also made on the way, when you write to somebody new or somebody new writes to you. A 409 says that an address is somebody's already.",
	},
		s.createContact)
	handle(s, op{method: http.MethodGet, path: "/v1/contacts", id: "listContacts", tag: "Contacts", summary: "List contacts", scope: auth.ContactsRead, doc: "Newest first."},
		s.listContacts)
	handle(s, op{method: http.MethodGet, path: "/v1/contacts/{id}", id: "getContact", tag: "Contacts", summary: "Read a contact", scope: auth.ContactsRead},
		func(ctx context.Context, who caller, in *oneContact) (*Contact, error) {
			return s.contact(s.person(ctx, who, in.ID))
		})
	handle(s, op{
		method: http.MethodPut, path: "/v1/contacts/{id}", id: "updateContact", tag: "Contacts", summary: "Change a contact", scope: auth.ContactsWrite,
		doc: "Replaces name, language, country and metadata. Identities have their own paths.",
	},
		func(ctx context.Context, who caller, in *changeContact) (*Contact, error) {
			profile, err := profile(in.Body.Name, in.Body.Language, in.Body.Country, in.Body.Metadata)
			if err != nil {
				return nil, err
			}
			p, err := s.person(ctx, who, in.ID)
			if err != nil {
				return nil, err
			}
			return s.contact(s.o.People.SetProfile(ctx, p, profile))
		})
	handle(s, op{method: http.MethodPost, path: "/v1/contacts/{id}/identities", id: "addIdentity", tag: "Contacts", summary: "Add an address", scope: auth.ContactsWrite, status: 201},
		func(ctx context.Context, who caller, in *addIdentity) (*Contact, error) {
			p, err := s.person(ctx, who, in.ID)
			if err != nil {
				return nil, err
			}
			a, err := s.address(ctx, who, "address", in.Body)
			if err != nil {
				return nil, err
			}
			return s.contact(s.o.People.AddIdentity(ctx, p, a))
		})
	handle(s, op{method: http.MethodDelete, path: "/v1/contacts/{id}/identities/{identity}", id: "removeIdentity", tag: "Contacts", summary: "Take an address away", scope: auth.ContactsWrite},
		func(ctx context.Context, who caller, in *oneIdentity) (*Contact, error) {
			p, err := s.person(ctx, who, in.ID)
			if err != nil {
				return nil, err
			}
			index, err := identityOf(p, in.Identity)
			if err != nil {
				return nil, err
			}
			return s.contact(s.o.People.RemoveIdentity(ctx, p, index))
		})
	handle(s, op{
		method: http.MethodGet, path: "/v1/contacts/{id}/export", id: "exportContact", tag: "Contacts", summary: "Everything held on a person", scope: auth.ContactsRead,
		doc: "One JSON document: profile, addresses, windows, wishes, messages both ways, events. For requests of access and portability (GDPR, articles 15 and 20).",
	},
		func(ctx context.Context, who caller, in *oneContact) (*Document, error) {
			id, err := pathID[message.ContactID](in.ID)
			if err != nil {
				return nil, err
			}
			return document(s.o.Privacy.Export(ctx, who.Workspace, id))
		})
	handle(s, op{
		method: http.MethodDelete, path: "/v1/contacts/{id}", id: "eraseContact", tag: "Contacts", summary: "Erase a person", scope: auth.ContactsWrite,
		doc: "Destroys the person's key: content, names and addresses are gone for good. Answers with a signed receipt. What stays: counts, prices, and a keyed record that this address wants no marketing.",
	},
		func(ctx context.Context, who caller, in *oneContact) (*Document, error) {
			id, err := pathID[message.ContactID](in.ID)
			if err != nil {
				return nil, err
			}
			return document(s.o.Privacy.Erase(ctx, who.Workspace, id))
		})
}

func document(b []byte, err error) (*Document, error) {
	if err != nil {
		return nil, err
	}
	d := Document(b)
	return &d, nil
}

func (s *Server) createContact(ctx context.Context, who caller, in *createContact) (*Contact, error) {
	profile, err := profile(in.Body.Name, in.Body.Language, in.Body.Country, in.Body.Metadata)
	if err != nil {
		return nil, err
	}
	addresses := make([]message.Address, len(in.Body.Identities))
	for i, one := range in.Body.Identities {
		if addresses[i], err = s.address(ctx, who, "identities["+strconv.Itoa(i)+"].address", one); err != nil {
			return nil, err
		}
	}
	return s.contact(s.o.People.Create(ctx, who.Workspace, profile, addresses...))
}

func (s *Server) listContacts(ctx context.Context, who caller, in *listContacts) (*Page[Contact], error) {
	if in.Phone != "" {
		p, err := s.byPhone(ctx, who, in.Phone)
		if err != nil {
			return nil, err
		}
		out := &Page[Contact]{Data: []*Contact{}}
		if p != nil {
			c, err := s.contact(p, nil)
			if err != nil {
				return nil, err
			}
			out.Data = append(out.Data, c)
		}
		return out, nil
	}
	before, err := queryID[message.ContactID]("after", in.After)
	if err != nil {
		return nil, err
	}
	people, err := s.o.People.List(ctx, who.Workspace, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	shown := make([]*Contact, len(people))
	for i, p := range people {
		if shown[i], err = s.contact(p, nil); err != nil {
			return nil, err
		}
	}
	return page(shown, in.Limit, func(c *Contact) *Contact { return c }, func(c *Contact) string { return c.ID.String() }), nil
}

// byPhone finds the person of a number of the query; nil where nobody has it.
func (s *Server) byPhone(ctx context.Context, who caller, number string) (*contact.Person, error) {
	a, err := s.address(ctx, who, "phone", NewIdentity{Channel: message.Phone, Address: number})
	if err != nil {
		return nil, err
	}
	return s.o.People.Resolve(ctx, who.Workspace, a)
}

// person reads the contact of a path.
func (s *Server) person(ctx context.Context, who caller, text string) (*contact.Person, error) {
	id, err := pathID[message.ContactID](text)
	if err != nil {
		return nil, err
	}
	return s.o.People.ByID(ctx, who.Workspace, id)
}

// contact shows a person.
func (s *Server) contact(p *contact.Person, err error) (*Contact, error) {
	if err != nil {
		return nil, err
	}
	out := &Contact{ID: p.ID, CreatedAt: p.CreatedAt.UTC(), ErasedAt: when(p.ErasedAt), Identities: []Identity{}}
	if p.Erased() {
		return out, nil
	}
	profile, err := s.o.People.Profile(p)
	if err != nil {
		return nil, err
	}
	out.Name, out.Language, out.Country, out.Metadata = profile.Name, profile.Language, profile.Country, profile.Metadata
	identities, err := s.o.People.Identities(p)
	if err != nil {
		return nil, err
	}
	for _, i := range identities {
		out.Identities = append(out.Identities, Identity{
			ID: identityID(i.Index), Channel: i.Channel, Scope: i.Scope, Address: i.ID, CreatedAt: i.CreatedAt.UTC(),
		})
	}
	return out, nil
}

// address checks an address and normalises telephone numbers.
func (s *Server) address(ctx context.Context, who caller, field string, in NewIdentity) (message.Address, error) {
	a := message.Address{Channel: in.Channel, Scope: in.Scope, ID: in.Address}
	if in.Channel != message.Phone {
		return a, nil
	}
	a.Scope = ""
	if s.o.Phones == nil {
		return a, nil
	}
	config, err := s.o.Workspaces.Config(ctx, who.Workspace)
	if err != nil {
		return a, err
	}
	number, _, err := s.o.Phones.Normalize(in.Address, config.Settings.DefaultRegion)
	if err != nil {
		return a, problem(engine.CodeBadNumber, field, "is not a telephone number that can be reached", "write it in international form, such as +33612345678")
	}
	a.ID = number
	return a, nil
}

func profile(name, language, country string, metadata map[string]string) (contact.Profile, error) {
	var c check
	c.metadata(root("metadata"), metadata)
	if c.fault != nil {
		return contact.Profile{}, c.fault
	}
	return contact.Profile{Name: name, Language: language, Country: country, Metadata: metadata}, nil
}

// identityID names an identity without telling its address: its blind index is
// a keyed hash.
func identityID(index [16]byte) string { return "idn_" + hex.EncodeToString(index[:]) }

func identityOf(p *contact.Person, text string) ([16]byte, error) {
	for i := range p.Identities {
		if identityID(p.Identities[i].Index) == text {
			return p.Identities[i].Index, nil
		}
	}
	return [16]byte{}, problem(engine.CodeNotFound, "identity", "the contact has no such identity", "read the contact to see its identities")
}
