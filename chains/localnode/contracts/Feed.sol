// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Keeps one answer the way a price feed does.
contract Feed {
    uint8 public decimals;
    int256 answer;
    uint256 startedAt;
    uint256 updatedAt;

    constructor(uint8 places) {
        decimals = places;
    }

    function set(int256 value, uint256 started, uint256 updated) external {
        answer = value;
        startedAt = started;
        updatedAt = updated;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (7, answer, startedAt, updatedAt, 7);
    }
}
