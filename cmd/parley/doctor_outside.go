package main

import (
	"context"
	"errors"
	"net/url"

	"github.com/parley-messaging/parley/app"
)

// askServer has a running server, which holds the database, look for itself: by
// its admin address, and where that is off, through the API at what it shows.
func (c *doctorCmd) askServer(ctx context.Context, k *checkup) {
	var out struct {
		Findings []app.Finding `json:"findings"`
	}
	query := url.Values{}
	if c.Offline {
		query.Set("offline", "1")
	}
	err := c.inner().call(ctx, "GET", "/check?"+query.Encode(), nil, &out)
	switch {
	case err == nil:
		for _, f := range out.Findings {
			k.add(f)
		}
	case !errors.As(err, new(*unreachableError)):
		k.bad("server", "check", err.Error(), "is "+c.Admin+" the admin address of the server that holds this database?")
	case c.APIKey == "":
		k.warn("workspaces", "read", "only the running server can tell: its admin address is not at "+c.Admin+", and no API key was given", "give --admin, or PARLEY_URL and PARLEY_API_KEY (of scope config:read); or stop the server for a moment")
	default:
		c.askAPI(ctx, k)
	}
}

// askAPI tells what the API shows of health; providers are not asked.
func (c *doctorCmd) askAPI(ctx context.Context, k *checkup) {
	cl, err := (&serverFlags{URL: c.URL, APIKey: c.APIKey}).client()
	if err != nil {
		k.bad("server", "API", err.Error(), "give --api-key")
		return
	}
	me, err := cl.Workspace.Me(ctx)
	if err != nil {
		k.bad("server", "API", said(err), "give the URL and a key of the server that holds this database")
		return
	}
	k.warn("workspace "+me.Name, "providers", "are asked by the server alone, and its admin address is not at "+c.Admin, "give --admin, or stop the server for a moment")
	list, err := cl.Connectors.List(ctx)
	if err != nil {
		k.bad("server", "connectors", said(err), "give a key of scope config:read")
	}
	for _, one := range list {
		area := "connector " + one.Name
		switch {
		case one.Health.State != "" && one.Health.State != "ok":
			k.bad(area, "health", one.Health.State+" "+one.Health.Code+" "+one.Health.Reason, "mend its configuration, then POST /v1/connectors/"+one.ID+"/resume")
		case one.Paused:
			k.warn(area, "paused", "by an operator; its queue is kept", "POST /v1/connectors/"+one.ID+"/resume")
		default:
			k.ok(area, "health", "ok")
		}
	}
}
