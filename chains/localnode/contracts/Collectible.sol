// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// An ERC-721 that anybody may move, and that can be made to lie.
contract Collectible {
    event Transfer(address indexed from, address indexed to, uint256 indexed id);

    string public name = "Collectible";
    string public symbol = "CLT";
    mapping(uint256 => string) private uris;
    mapping(uint256 => address) private owners;

    function ownerOf(uint256 id) external view returns (address) {
        require(owners[id] != address(0), "nobody's");
        return owners[id];
    }

    function tokenURI(uint256 id) external view returns (string memory) { return uris[id]; }

    function call(string calldata name_, string calldata symbol_) external { (name, symbol) = (name_, symbol_); }

    function point(uint256 id, string calldata uri) external { uris[id] = uri; }

    // move mints from nobody and burns to nobody.
    function move(address to, uint256 id) public {
        emit Transfer(owners[id], to, id);
        owners[id] = to;
    }

    // mint moves ids from first on, and points them all.
    function mint(address to, uint256 first, uint256 count, string calldata uri) external {
        for (uint256 id = first; id < first + count; id++) {
            move(to, id);
            uris[id] = uri;
        }
    }

    // lie logs what never happened.
    function lie(address from, address to, uint256 id) external { emit Transfer(from, to, id); }

    // seize takes an id without a word.
    function seize(address to, uint256 id) external { owners[id] = to; }

    // plain moves as contracts older than the standard do: nothing is indexed.
    function plain(address to, uint256 id) external {
        bytes32 topic = keccak256("Transfer(address,address,uint256)");
        bytes memory data = abi.encode(owners[id], to, id);
        owners[id] = to;
        assembly { log1(add(data, 32), mload(data), topic) }
    }
}
