// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// A plain ERC-20 that gives its whole supply to whoever deploys it.
contract Token {
    event Transfer(address indexed from, address indexed to, uint256 value);

    bytes32 private immutable code;
    uint8 public immutable decimals;
    uint256 public immutable totalSupply;
    mapping(address => uint256) public balanceOf;

    constructor(bytes32 code_, uint8 decimals_, uint256 supply) {
        code = code_;
        decimals = decimals_;
        totalSupply = supply;
        balanceOf[msg.sender] = supply;
        emit Transfer(address(0), msg.sender, supply);
    }

    function symbol() public view returns (string memory) {
        uint256 length;
        while (length < 32 && code[length] != 0) length++;
        bytes memory text = new bytes(length);
        for (uint256 i; i < length; i++) text[i] = code[i];
        return string(text);
    }

    function name() external view returns (string memory) {
        return symbol();
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        unchecked {
            balanceOf[to] += value;
        }
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
