// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// A token that refuses every transfer the old way: false, without a log and
// without a revert. The transaction succeeds and nothing has moved.
contract SilentToken {
    uint8 public constant decimals = 6;
    string public constant symbol = "SILENT";
    uint256 public constant totalSupply = 1e12;
    mapping(address => uint256) public balanceOf;

    constructor() {
        balanceOf[msg.sender] = totalSupply;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }
}
