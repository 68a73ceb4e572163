// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// An ERC-1155 that anybody may mint of, and that can be made to lie.
contract Editions {
    event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
    event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values);

    mapping(address => mapping(uint256 => uint256)) public balanceOf;
    string private text;

    function uri(uint256) external view returns (string memory) { return text; }

    function point(string calldata uri_) external { text = uri_; }

    function move(address from, address to, uint256 id, uint256 value) private {
        if (from != address(0)) balanceOf[from][id] -= value;
        if (to != address(0)) balanceOf[to][id] += value;
    }

    function one(address from, address to, uint256 id, uint256 value) external {
        move(from, to, id, value);
        emit TransferSingle(msg.sender, from, to, id, value);
    }

    function many(address from, address to, uint256[] calldata ids, uint256[] calldata values) external {
        for (uint256 i = 0; i < ids.length; i++) move(from, to, ids[i], values[i]);
        emit TransferBatch(msg.sender, from, to, ids, values);
    }

    // raw logs a TransferBatch with any data.
    function raw(address from, address to, bytes calldata data) external {
        bytes32 topic = keccak256("TransferBatch(address,address,address,uint256[],uint256[])");
        bytes memory copied = data;
        assembly { log4(add(copied, 32), mload(copied), topic, caller(), from, to) }
    }
}
