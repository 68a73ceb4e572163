package bitcoin

import "slices"

// Opcodes of the standard scripts.
const (
	opDup         = 0x76
	opHash160     = 0xa9
	opHash256     = 0xaa
	opEqual       = 0x87
	opEqualVerify = 0x88
	opCheckSig    = 0xac
	op1           = 0x51
	op16          = 0x60
)

// scriptPubKeyHash returns the P2PKH script of a 20-byte hash.
func scriptPubKeyHash(hash []byte) []byte {
	return slices.Concat([]byte{opDup, opHash160, 20}, hash, []byte{opEqualVerify, opCheckSig})
}

// scriptScriptHash returns the P2SH script of a hash of 20 bytes, or of 32 on
// chains that have such.
func scriptScriptHash(hash []byte) []byte {
	op := byte(opHash160)
	if len(hash) == 32 {
		op = opHash256
	}
	return slices.Concat([]byte{op, byte(len(hash))}, hash, []byte{opEqual})
}

// scriptWitness returns the script of a witness program (BIP 141).
func scriptWitness(version byte, program []byte) []byte {
	op := version
	if version > 0 {
		op = op1 - 1 + version
	}
	return slices.Concat([]byte{op, byte(len(program))}, program)
}

// scriptPubKey returns the P2PK script of a public key.
func scriptPubKey(key []byte) []byte {
	return slices.Concat([]byte{byte(len(key))}, key, []byte{opCheckSig})
}

// pubKeyHashOf returns the hash a P2PKH script pays to, or nil.
func pubKeyHashOf(script []byte) []byte {
	if len(script) == 25 && script[0] == opDup && script[1] == opHash160 && script[2] == 20 &&
		script[23] == opEqualVerify && script[24] == opCheckSig {
		return script[3:23]
	}
	return nil
}

// scriptHashOf returns the hash a P2SH script pays to, of 20 or 32 bytes, or nil.
func scriptHashOf(script []byte) []byte {
	switch {
	case len(script) == 23 && script[0] == opHash160 && script[1] == 20 && script[22] == opEqual:
		return script[2:22]
	case len(script) == 35 && script[0] == opHash256 && script[1] == 32 && script[34] == opEqual:
		return script[2:34]
	}
	return nil
}

// witnessOf returns the version and the program a script pays to, or nil.
func witnessOf(script []byte) (version byte, program []byte) {
	if len(script) < 4 || len(script) > 42 || int(script[1]) != len(script)-2 {
		return 0, nil
	}
	switch op := script[0]; {
	case op == 0:
		return 0, script[2:]
	case op >= op1 && op <= op16:
		return op - op1 + 1, script[2:]
	}
	return 0, nil
}

// pubKeyOf returns the key a P2PK script names, or nil.
func pubKeyOf(script []byte) []byte {
	n := len(script) - 2
	if (n == 33 || n == 65) && int(script[0]) == n && script[n+1] == opCheckSig {
		return script[1 : n+1]
	}
	return nil
}
