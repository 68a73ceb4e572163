// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// An ERC-20 whose owner gives units out to many consecutive addresses at once:
// one transaction, one Transfer each. Compiled like the contracts in
// chains/localnode/contracts.
contract Crowd {
    event Transfer(address indexed from, address indexed to, uint256 value);

    uint8 public constant decimals = 6;
    string public constant symbol = "CROWD";
    mapping(address => uint256) public balanceOf;

    constructor() {
        balanceOf[msg.sender] = 1e30;
        emit Transfer(address(0), msg.sender, 1e30);
    }

    // Gives value to the first address, value + 1 to the next, and so on.
    function give(uint160 first, uint160 count, uint256 value) external {
        for (uint160 i; i < count; i++) {
            balanceOf[msg.sender] -= value + i;
            balanceOf[address(first + i)] += value + i;
            emit Transfer(msg.sender, address(first + i), value + i);
        }
    }
}
