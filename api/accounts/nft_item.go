package accounts

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/chains"
	"tallyd/indexer"
)

type (
	// ownedNFT is Blockmate's OwnedNft with exact fields beside it.
	ownedNFT struct {
		Contract         nftContract  `json:"contract"`
		ID               nftID        `json:"id"`
		Balance          string       `json:"balance" doc:"The same as amount" example:"1"`
		Title            string       `json:"title" doc:"The same as name"`
		TokenURI         nftURI       `json:"tokenUri"`
		Metadata         nftMetadata  `json:"metadata"`
		TimeLastUpdated  *stamp       `json:"timeLastUpdated" nullable:"true" doc:"When the metadata was read; null if it never was"`
		Error            string       `json:"error,omitempty" doc:"Why the metadata could not be read"`
		ContractMetadata nftContracts `json:"contractMetadata"`

		Chain         string           `json:"chain" doc:"Slug" example:"eth"`
		Address       string           `json:"address" doc:"That holds it"`
		Asset         string           `json:"asset" doc:"CAIP-19" example:"eip155:1/erc721:0x06012c8cf97bead5deae237070f9587f8e7a266d/771769"`
		Standard      string           `json:"standard" enum:"erc721,erc1155"`
		TokenID       string           `json:"token_id" doc:"Decimal" example:"771769"`
		Amount        string           `json:"amount" doc:"Whole number of pieces, as long as it takes" example:"1"`
		AsOf          *block           `json:"as_of" doc:"The contract said so at this block; null while only its logs do"`
		Proof         string           `json:"proof" enum:"confirmed,asserted,logs" doc:"confirmed: two nodes gave the contract's answer; asserted: one did; logs: verified logs of the contract add up to it, and it was not asked yet"`
		Name          string           `json:"name"`
		Description   string           `json:"description"`
		Image         string           `json:"image" doc:"An http, https, ipfs or ar URL, or a data: URL of a picture; empty for anything else"`
		Attributes    []nftTrait       `json:"attributes" nullable:"false"`
		Collection    nftCollection    `json:"collection"`
		MetadataState nftMetadataState `json:"metadata_state"`
		Acquired      *nftAcquired     `json:"acquired" doc:"The transfer that brought it last; null if none is known"`
	}
	nftContract struct {
		Address string `json:"address" example:"0x06012c8cf97bead5deae237070f9587f8e7a266d"`
	}
	nftID struct {
		TokenID       string       `json:"tokenId" doc:"Decimal" example:"771769"`
		TokenMetadata nftTokenType `json:"tokenMetadata"`
	}
	nftTokenType struct {
		TokenType string `json:"tokenType" enum:"ERC721,ERC1155"`
	}
	nftURI struct {
		Raw string `json:"raw" doc:"As the contract names it; data: for metadata that stands in the contract"`
	}
	nftMetadata struct {
		Name        string     `json:"name"`
		Description string     `json:"description"`
		Image       string     `json:"image"`
		ExternalURL string     `json:"external_url"`
		Attributes  []nftTrait `json:"attributes" nullable:"false"`
	}
	nftTrait struct {
		TraitType string `json:"trait_type"`
		Value     string `json:"value" doc:"Numbers as they were written"`
	}
	nftContracts struct {
		Name      string `json:"name"`
		Symbol    string `json:"symbol"`
		TokenType string `json:"tokenType" enum:"ERC721,ERC1155"`
	}
	nftCollection struct {
		Name   string `json:"name" doc:"What the contract calls itself"`
		Symbol string `json:"symbol" doc:"What the contract calls itself"`
	}
	nftMetadataState struct {
		Status string `json:"status" enum:"pending,ready,failed"`
		Reason string `json:"reason,omitempty" doc:"Why the last look failed"`
		AsOf   *stamp `json:"as_of" nullable:"true" doc:"When what is shown was read; null if nothing was"`
		Tried  *stamp `json:"tried_at" nullable:"true" doc:"When it was last looked at; null if it never was"`
	}
	nftAcquired struct {
		Tx     string `json:"tx"`
		Height uint64 `json:"height"`
		Time   stamp  `json:"time"`
	}
)

// Schema describes the transfer, or null where there is none, for the OpenAPI
// document.
func (nftAcquired) Schema(r huma.Registry) *huma.Schema {
	type named nftAcquired
	schema := huma.SchemaFromType(r, reflect.TypeFor[named]())
	schema.Nullable = true
	return schema
}

func ownedOf(n indexer.NFT) ownedNFT {
	id, _ := n.ID.NFT() // the ledger lists nothing else
	kind := strings.ToUpper(string(id.Standard))
	d := n.Document
	traits := make([]nftTrait, 0, len(d.Attributes))
	for _, a := range d.Attributes {
		traits = append(traits, nftTrait{TraitType: a.Trait, Value: a.Value})
	}
	o := ownedNFT{
		Contract: nftContract{Address: id.Contract}, ID: nftID{TokenID: id.Token, TokenMetadata: nftTokenType{kind}},
		Balance: n.Amount.String(), Title: d.Name, TokenURI: nftURI{n.URI},
		Metadata:        nftMetadata{Name: d.Name, Description: d.Description, Image: d.Image, ExternalURL: d.ExternalURL, Attributes: traits},
		TimeLastUpdated: nullable(n.ReadAt), Error: n.Reason,
		ContractMetadata: nftContracts{Name: n.Collection, Symbol: n.Symbol, TokenType: kind},
		Chain:            n.Chain, Address: n.Address, Asset: string(n.ID), Standard: string(id.Standard), TokenID: id.Token,
		Amount: n.Amount.String(), AsOf: blockOf(n.AsOf, true), Proof: proofOf(n.Proof), Name: d.Name, Description: d.Description, Image: d.Image,
		Attributes: traits, Collection: nftCollection{Name: n.Collection, Symbol: n.Symbol},
		MetadataState: nftMetadataState{Status: string(n.Status), Reason: n.Reason, AsOf: nullable(n.ReadAt), Tried: nullable(n.TriedAt)},
	}
	if n.Acquired != nil {
		o.Acquired = &nftAcquired{Tx: hashText(n.Acquired.Tx, true), Height: n.Acquired.Height, Time: stamp(n.Acquired.Time)}
	}
	return o
}

// proofOf names why a holding is believed.
func proofOf(p chains.Proof) string {
	if p == "" {
		return "logs"
	}
	return string(p)
}
