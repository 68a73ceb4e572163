package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"tallyd/chains"
	"tallyd/chains/venue"
)

// Members of the body that connects a login, beside those of the login itself.
const (
	fieldDescription = "description"
	fieldName        = "name"
	fieldUnverified  = "permissions_unverified"

	// acknowledged is what fieldUnverified says.
	acknowledged = "acknowledged"
)

type (
	// formField is one thing to ask the user for.
	formField struct {
		Name     string   `json:"name" doc:"Member of the body of the POST" example:"memo"`
		Title    string   `json:"title" doc:"What the venue calls it" example:"Memo"`
		Hint     string   `json:"hint" doc:"What it is, and what it is not" example:"the text that you typed as memo when you made the key; not your user id"`
		Required bool     `json:"required"`
		Secret   bool     `json:"secret" doc:"Not to be shown while it is typed, nor afterwards"`
		Choices  []string `json:"choices,omitempty" doc:"All that it may be; absent where it is free" nullable:"false"`
	}

	// venueHint is Blockmate's hint with the form that it stands for.
	venueHint struct {
		Hint
		Form        []formField   `json:"form" nullable:"false" doc:"What fields says, with all there is to know of each"`
		Permissions []string      `json:"permissions" nullable:"false" doc:"To tick when the key is made, and no others"`
		TellsRights bool          `json:"tells_rights" doc:"The venue says what a key may do. Where it does not, connecting takes permissions_unverified"`
		Regions     []venueRegion `json:"regions" nullable:"false"`
		Standing    string        `json:"standing" enum:"verified,unverified" doc:"Whether signing and balances were checked against anything"`
		Parts       []venuePart   `json:"parts" nullable:"false"`
	}
	venueHintOutput struct {
		Status int
		Body   venueHintOrNot
	}
)

// venueHintOrNot is a hint, or what Blockmate answers for an unknown provider.
type venueHintOrNot struct {
	venueHint
	missing bool
}

// MarshalJSON writes the hint, or the status not_found.
func (h venueHintOrNot) MarshalJSON() ([]byte, error) {
	if h.missing {
		return []byte(`{"status":"not_found"}`), nil
	}
	raw, err := json.Marshal(h.venueHint)
	if err != nil {
		return nil, fmt.Errorf("encode hint: %w", err)
	}
	return raw, nil
}

func (s *surface) venueConnectHint(ctx context.Context, in *VenuePath) (*venueHintOutput, error) {
	v, known := s.venue(in.Venue)
	if !known {
		return &venueHintOutput{Status: http.StatusNotFound, Body: venueHintOrNot{missing: true}}, nil
	}
	return &venueHintOutput{Status: http.StatusOK, Body: venueHintOrNot{venueHint: venueHintOf(v, callerOf(ctx).Realm.Environment)}}, nil
}

func venueHintOf(v venue.Venue, environment chains.Environment) venueHint {
	listed := listedVenueOf(v, environment)
	h := venueHint{
		Hint: hintOfVenue(v, environment), Form: form(v, environment), Permissions: listed.Permissions, TellsRights: listed.TellsRights,
		Regions: listed.Regions, Standing: listed.Standing, Parts: listed.Parts,
	}
	return h
}

// hintOfVenue returns what Blockmate's hint says of a venue.
func hintOfVenue(v venue.Venue, environment chains.Environment) Hint {
	intro := "Make an API key at " + v.Title + " for this service alone, which can only read, and enter it here."
	if v.About != "" {
		intro += " " + v.About
	}
	h := Hint{Description: v.Title, URL: "https://" + v.Regions[0].Title, Intro: intro, Fields: map[string]string{}}
	for _, f := range form(v, environment) {
		h.Fields[f.Name] = f.Title
	}
	return h
}

// form returns what connecting a login of a venue takes, in the order in which to
// ask for it.
func form(v venue.Venue, environment chains.Environment) []formField {
	var fields []formField
	for _, f := range v.Hint() {
		field := formField{Name: f.Name, Title: f.Title, Hint: f.Hint, Required: !f.Optional, Secret: f.Secret, Choices: f.Choices}
		if f.Name == venue.FieldRegion {
			field.Choices = nil
			for _, r := range regionsOf(v, environment) {
				field.Choices = append(field.Choices, r.Name)
			}
		}
		fields = append(fields, field)
	}
	if !v.Introspects {
		fields = append(fields, formField{
			Name: fieldUnverified, Title: "Permissions of the key", Choices: []string{acknowledged}, Required: true,
			Hint: v.Title + " does not say what a key may do: look at the key, and write " + acknowledged + " if it can neither trade nor withdraw",
		})
	}
	return append(fields,
		formField{Name: fieldDescription, Title: "Account description", Hint: "for your own use"},
		formField{Name: fieldName, Title: "Account name", Hint: "for your own use; " + v.Name + " if left out"},
	)
}
