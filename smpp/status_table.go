package smpp

// Values of command_status, SMPP 3.4 section 5.1.3 and 5.0 section 4.7.6. The
// name in capitals that the specification uses is in the table below.
const (
	StatusOK                        Status = 0x00000000
	StatusInvalidMessageLength      Status = 0x00000001
	StatusInvalidCommandLength      Status = 0x00000002
	StatusInvalidCommandID          Status = 0x00000003
	StatusInvalidBindState          Status = 0x00000004
	StatusAlreadyBound              Status = 0x00000005
	StatusInvalidPriority           Status = 0x00000006
	StatusInvalidRegisteredDelivery Status = 0x00000007
	StatusSystemError               Status = 0x00000008
	StatusInvalidSource             Status = 0x0000000A
	StatusInvalidDestination        Status = 0x0000000B
	StatusInvalidMessageID          Status = 0x0000000C
	StatusBindFailed                Status = 0x0000000D
	StatusInvalidPassword           Status = 0x0000000E
	StatusInvalidSystemID           Status = 0x0000000F
	StatusCancelFailed              Status = 0x00000011
	StatusReplaceFailed             Status = 0x00000013
	StatusQueueFull                 Status = 0x00000014
	StatusInvalidServiceType        Status = 0x00000015
	StatusInvalidDestinationCount   Status = 0x00000033
	StatusInvalidListName           Status = 0x00000034
	StatusInvalidDestinationFlag    Status = 0x00000040
	StatusInvalidSubmitReplace      Status = 0x00000042
	StatusInvalidESMClass           Status = 0x00000043
	StatusCannotSubmitToList        Status = 0x00000044
	StatusSubmitFailed              Status = 0x00000045
	StatusInvalidSourceTON          Status = 0x00000048
	StatusInvalidSourceNPI          Status = 0x00000049
	StatusInvalidDestinationTON     Status = 0x00000050
	StatusInvalidDestinationNPI     Status = 0x00000051
	StatusInvalidSystemType         Status = 0x00000053
	StatusInvalidReplaceFlag        Status = 0x00000054
	StatusInvalidMessageCount       Status = 0x00000055
	StatusThrottled                 Status = 0x00000058
	StatusInvalidSchedule           Status = 0x00000061
	StatusInvalidValidity           Status = 0x00000062
	StatusInvalidDefaultMessage     Status = 0x00000063
	StatusTemporaryAppError         Status = 0x00000064
	StatusPermanentAppError         Status = 0x00000065
	StatusRejectedByApp             Status = 0x00000066
	StatusQueryFailed               Status = 0x00000067
	StatusInvalidTLVStream          Status = 0x000000C0
	StatusTLVNotAllowed             Status = 0x000000C1
	StatusInvalidTLVLength          Status = 0x000000C2
	StatusMissingTLV                Status = 0x000000C3
	StatusInvalidTLVValue           Status = 0x000000C4
	StatusDeliveryFailure           Status = 0x000000FE
	StatusUnknownError              Status = 0x000000FF
	StatusServiceTypeUnauthorised   Status = 0x00000100
	StatusProhibited                Status = 0x00000101
	StatusServiceTypeUnavailable    Status = 0x00000102
	StatusServiceTypeDenied         Status = 0x00000103
	StatusInvalidDataCoding         Status = 0x00000104
	StatusInvalidSourceSubunit      Status = 0x00000105
	StatusInvalidDestinationSubunit Status = 0x00000106
)

// statuses is sorted by code; [Status.Info] searches it.
var statuses = [...]StatusInfo{
	{StatusOK, "ESME_ROK", AboutNothing, ActionNone, "3.4"},
	{StatusInvalidMessageLength, "ESME_RINVMSGLEN", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidCommandLength, "ESME_RINVCMDLEN", AboutProtocol, ActionPermanent, "3.4"},
	{StatusInvalidCommandID, "ESME_RINVCMDID", AboutProtocol, ActionPermanent, "3.4"},
	{StatusInvalidBindState, "ESME_RINVBNDSTS", AboutSession, ActionRebind, "3.4"},
	{StatusAlreadyBound, "ESME_RALYBND", AboutSession, ActionRebind, "3.4"},
	{StatusInvalidPriority, "ESME_RINVPRTFLG", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidRegisteredDelivery, "ESME_RINVREGDLVFLG", AboutMessage, ActionPermanent, "3.4"},
	{StatusSystemError, "ESME_RSYSERR", AboutServer, ActionRetry, "3.4"},
	{StatusInvalidSource, "ESME_RINVSRCADR", AboutSender, ActionPermanent, "3.4"},
	{StatusInvalidDestination, "ESME_RINVDSTADR", AboutRecipient, ActionPermanent, "3.4"},
	{StatusInvalidMessageID, "ESME_RINVMSGID", AboutMessage, ActionPermanent, "3.4"},
	{StatusBindFailed, "ESME_RBINDFAIL", AboutSession, ActionRebind, "3.4"},
	{StatusInvalidPassword, "ESME_RINVPASWD", AboutCredentials, ActionOperator, "3.4"},
	{StatusInvalidSystemID, "ESME_RINVSYSID", AboutCredentials, ActionOperator, "3.4"},
	{StatusCancelFailed, "ESME_RCANCELFAIL", AboutMessage, ActionPermanent, "3.4"},
	{StatusReplaceFailed, "ESME_RREPLACEFAIL", AboutMessage, ActionPermanent, "3.4"},
	{StatusQueueFull, "ESME_RMSGQFUL", AboutServer, ActionThrottle, "3.4"},
	{StatusInvalidServiceType, "ESME_RINVSERTYP", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidDestinationCount, "ESME_RINVNUMDESTS", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidListName, "ESME_RINVDLNAME", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidDestinationFlag, "ESME_RINVDESTFLAG", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidSubmitReplace, "ESME_RINVSUBREP", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidESMClass, "ESME_RINVESMCLASS", AboutMessage, ActionPermanent, "3.4"},
	{StatusCannotSubmitToList, "ESME_RCNTSUBDL", AboutMessage, ActionPermanent, "3.4"},
	{StatusSubmitFailed, "ESME_RSUBMITFAIL", AboutServer, ActionRetry, "3.4"},
	{StatusInvalidSourceTON, "ESME_RINVSRCTON", AboutSender, ActionPermanent, "3.4"},
	{StatusInvalidSourceNPI, "ESME_RINVSRCNPI", AboutSender, ActionPermanent, "3.4"},
	{StatusInvalidDestinationTON, "ESME_RINVDSTTON", AboutRecipient, ActionPermanent, "3.4"},
	{StatusInvalidDestinationNPI, "ESME_RINVDSTNPI", AboutRecipient, ActionPermanent, "3.4"},
	{StatusInvalidSystemType, "ESME_RINVSYSTYP", AboutCredentials, ActionOperator, "3.4"},
	{StatusInvalidReplaceFlag, "ESME_RINVREPFLAG", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidMessageCount, "ESME_RINVNUMMSGS", AboutMessage, ActionPermanent, "3.4"},
	{StatusThrottled, "ESME_RTHROTTLED", AboutServer, ActionThrottle, "3.4"},
	{StatusInvalidSchedule, "ESME_RINVSCHED", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidValidity, "ESME_RINVEXPIRY", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidDefaultMessage, "ESME_RINVDFTMSGID", AboutMessage, ActionPermanent, "3.4"},
	{StatusTemporaryAppError, "ESME_RX_T_APPN", AboutReceiver, ActionRetry, "3.4"},
	{StatusPermanentAppError, "ESME_RX_P_APPN", AboutReceiver, ActionPermanent, "3.4"},
	{StatusRejectedByApp, "ESME_RX_R_APPN", AboutReceiver, ActionPermanent, "3.4"},
	{StatusQueryFailed, "ESME_RQUERYFAIL", AboutMessage, ActionPermanent, "3.4"},
	{StatusInvalidTLVStream, "ESME_RINVOPTPARSTREAM", AboutProtocol, ActionPermanent, "3.4"},
	{StatusTLVNotAllowed, "ESME_ROPTPARNOTALLWD", AboutProtocol, ActionPermanent, "3.4"},
	{StatusInvalidTLVLength, "ESME_RINVPARLEN", AboutProtocol, ActionPermanent, "3.4"},
	{StatusMissingTLV, "ESME_RMISSINGOPTPARAM", AboutProtocol, ActionPermanent, "3.4"},
	{StatusInvalidTLVValue, "ESME_RINVOPTPARAMVAL", AboutProtocol, ActionPermanent, "3.4"},
	{StatusDeliveryFailure, "ESME_RDELIVERYFAILURE", AboutServer, ActionRetry, "3.4"},
	{StatusUnknownError, "ESME_RUNKNOWNERR", AboutServer, ActionRetry, "3.4"},
	{StatusServiceTypeUnauthorised, "ESME_RSERTYPUNAUTH", AboutCredentials, ActionOperator, "5.0"},
	{StatusProhibited, "ESME_RPROHIBITED", AboutCredentials, ActionOperator, "5.0"},
	{StatusServiceTypeUnavailable, "ESME_RSERTYPUNAVAIL", AboutServer, ActionRetry, "5.0"},
	{StatusServiceTypeDenied, "ESME_RSERTYPDENIED", AboutCredentials, ActionOperator, "5.0"},
	{StatusInvalidDataCoding, "ESME_RINVDCS", AboutMessage, ActionPermanent, "5.0"},
	{StatusInvalidSourceSubunit, "ESME_RINVSRCADDRSUBUNIT", AboutMessage, ActionPermanent, "5.0"},
	{StatusInvalidDestinationSubunit, "ESME_RINVDSTADDRSUBUNIT", AboutMessage, ActionPermanent, "5.0"},
}
